"""Anything that can be run, as an Engine: a name, an object, a class, or where one of them stands in a file.

as_engine("rust")                                  an installed backend
as_engine("rust naive")  ("rust pool=False")       one in another variant than its best; see `hftlab.engine.variants.parse`
as_engine("rust threads=2")                        one on several threads
as_engine("my_package.engine:BACKEND")             an object in a module
as_engine("book=examples/mine.py:MyBook")          a stage from a file, in the Python engine; several, one after the other
as_engine(MyBook)                                  a class that has every method of one stage
as_engine(MyBackend())  as_engine(Engine(...))     what it is already
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.session import REQUIRED, resolve
from hftlab.engine.variants import parse
from hftlab.errors import ConfigError
from hftlab.stages.interfaces import INTERFACES, lacking


def as_engine(given: Any, **settings: Any) -> Engine:
    """Make an engine of what is given.

    given    : name of a backend, alone, with a variant or with stages ("python book=mine.py:MyBook"; without a name, "auto");
               "module:attribute" or "path.py:attribute"; a backend; a class of one stage; or an Engine
    settings : arguments of Engine to set or to change
    raises   : HftlabError in one sentence if it is none of these, or lacks a method
    """
    if isinstance(given, str):
        given, named = _parse(given)
        settings = {**named, **settings}
    if isinstance(given, Engine):
        return given.replace(**settings) if settings else given
    stage = _stage(given)
    return Engine(**{stage: given}, **settings) if stage else Engine(given, **settings)


def _parse(text: str) -> tuple[Any, dict[str, Any]]:
    """What the text names, and the arguments of Engine in it."""
    first, _, rest = text.strip().partition(" ")
    if ":" in text and "=" not in text:
        return attribute(text), {}
    if "=" in first:
        first, rest = "auto", text
    arguments: dict[str, Any] = {}
    words = []
    for word in rest.split():
        axis, _, place = word.partition("=")
        if axis in INTERFACES and ":" in place:
            arguments[axis] = attribute(place)
        elif axis == "threads":
            arguments[axis] = int(place) if place.isdecimal() else place
        else:
            words.append(word)
    if not words:
        return first, arguments
    stages = {axis: own for axis, own in arguments.items() if axis in INTERFACES}
    return first, {**parse(" ".join(words), resolve(first, stages)[1].variants()), **arguments}


def _stage(given: object) -> str | None:
    """The stage whose methods a class has; None for what is no class, or has those of a backend.

    raises : ConfigError for a class that is neither
    """
    if not isinstance(given, type) or not lacking(given, *REQUIRED):
        return None
    for stage, interface in INTERFACES.items():
        if not lacking(given, *interface.methods):
            return stage
    name = given.__name__
    raise ConfigError(
        f"{name} has neither the methods of a backend ({', '.join(REQUIRED)}) nor all of one stage; "
        f"say which stage it is meant for: as_engine('auto', book={name}), or book=path.py:{name}"
    )


def attribute(place: str) -> Any:
    """What stands at "module:attribute" or "path.py:attribute".

    raises : ConfigError if the module cannot be imported or has no such attribute
    """
    where, _, name = place.rpartition(":")
    module = _module(where)
    if not hasattr(module, name):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(f"{place}: {where} has no {name!r}; it has {', '.join(known) or 'nothing'}")
    return getattr(module, name)


def _module(where: str) -> ModuleType:
    try:
        return _from_file(Path(where)) if where.endswith(".py") else import_module(where)
    except Exception as error:
        raise ConfigError(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> ModuleType:
    """A module from a file that no package holds; the same file is read once, so that its classes stay the same and pickle."""
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    spec = spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if known is not None:
        raise ImportError(f"another module is called {name!r}: {getattr(known, '__file__', 'built in')}")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
