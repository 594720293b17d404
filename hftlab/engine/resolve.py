"""Anything that can be run, as an Engine: a name, an object, a class, or where one of them stands in a file.

adopt("rust")                                an installed backend
adopt("rust naive")  adopt("rust pool=False")  one in another variant than its best; see `hftlab.engine.variants.parse`
adopt("my_package.engine:BACKEND")           an object in a module
adopt("examples/mine.py:MyBook")             a class in a file
adopt(MyBook)                                a stage, in the Python engine
adopt(MyBackend())  adopt(Engine(...))       what it is already
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.session import resolve
from hftlab.engine.variants import parse
from hftlab.errors import ConfigError
from hftlab.stages.protocols import PROTOCOLS, lacking, methods

_BACKEND = ["event_layout", "variants", "session"]


def adopt(given: Any, **settings: Any) -> Engine:
    """Make an engine of what is given.

    given    : name of a backend, alone or with a variant, "module:attribute", "path.py:attribute", a backend, a class of one
               stage, or an Engine
    settings : arguments of Engine to set or to change
    raises   : HftlabError in one sentence if it is none of these, or lacks a method
    """
    if isinstance(given, str) and ":" in given:
        given = attribute(given)
    elif isinstance(given, str) and " " in given.strip():
        given, _, words = given.strip().partition(" ")
        settings = {**parse(words, resolve(given)[1].variants()), **settings}
    if isinstance(given, Engine):
        return given.replace(**settings) if settings else given
    stage = None if isinstance(given, str) else _stage(given)
    return Engine(**{stage: given}, **settings) if stage else Engine(given, **settings)


def _stage(given: object) -> str | None:
    """Which stage a class comes nearest to, by the share of its methods; None if it looks more like a backend or like nothing."""
    if not isinstance(given, type):
        return None
    wanted: dict[str | None, list[str]] = {None: _BACKEND}
    wanted.update({stage: methods(protocol) for stage, protocol in PROTOCOLS.items()})
    shares = {stage: 1 - len(lacking(given, names)) / len(names) for stage, names in wanted.items()}
    return max(shares, key=lambda stage: shares[stage])


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
