"""Can everything that the package offers be reached, and does every function say what it takes?"""

import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import hftlab

PUBLIC = sorted(set(hftlab.__all__) | {"load_ipython_extension"})


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_a_docstring_and_a_signature(name: str) -> None:
    value = getattr(hftlab, name)
    if isinstance(value, ModuleType):
        assert not callable(value), "packages are nouns, functions are verbs"
    if not callable(value):
        return
    assert (value.__doc__ or "").strip()
    if not isinstance(value, type):
        parameters = inspect.signature(value).parameters.values()
        assert not [one for one in parameters if one.kind is inspect.Parameter.VAR_POSITIONAL and one.name == "args"]


def test_verify_shows_its_parameters() -> None:
    assert list(inspect.signature(hftlab.verify).parameters) == ["a", "b", "feed"]


@pytest.mark.parametrize("name", ["feeds", "conformance", "protocols", "Engine", "as_engine", "verify"])
def test_a_name_is_there_in_a_fresh_interpreter(name: str) -> None:
    subprocess.run([sys.executable, "-c", f"import hftlab; hftlab.{name}"], check=True)
