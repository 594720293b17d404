"""Does the code keep its shape: small modules and functions, imports downwards, Python in one Rust file?"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hftlab"

# Lowest first. A module may import from its own floor and from those below it.
# Modules that share a floor stand in one tuple; `__init__` stands above all and may import any.
FLOORS: list[tuple[str, ...]] = [
    ("callable_module", "errors", "html", "progress"),
    ("events", "histogram"),
    ("settings",),
    ("feeds",),
    ("stages",),
    ("record", "stamps"),
    ("engine",),
    ("backends",),
    ("axes",),
    ("replay", "run"),
    ("adopt", "live", "moment", "tape"),
    ("verify",),
    ("charts",),
    ("bench",),
    (
        "doctor",
        "exchange_options",
        "learning_options",
        "net_options",
        "options",
        "shared_options",
        "stress_options",
        "tables",
        "trade_options",
        "wire_options",
    ),
    ("profiling",),
    ("report",),
    ("jupyter",),
    ("net",),
    ("stress",),
    ("course",),
    ("measuring", "comparing", "reporting", "stressing"),
    ("learning", "networking"),
    ("cli",),
]
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 50

RANK = {name: rank for rank, names in enumerate(FLOORS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])


def floor(path: Path) -> str:
    """The floor a file belongs to: hftlab/feeds/itch.py -> 'feeds', hftlab/cli.py -> 'cli'."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, at the top or inside a function."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = [*base, *(node.module.split(".") if node.module else [])]
            yield from ((node.lineno, ".".join([*module, alias.name])) for alias in node.names)


def imports_upwards(path: Path, tree: ast.AST) -> list[str]:
    """One line for each import in `tree` of a floor above the one `path` belongs to.

    A public name taken from the package (``from hftlab import Engine``) comes from the top and counts too.
    """
    own = floor(path)
    allowed = {"__version__"} | {name for name in RANK if RANK[name] <= RANK[own]}
    return [
        f"line {line}: {own} imports {name}"
        for line, name in imported_modules(path, tree)
        if name.startswith("hftlab.") and name.split(".")[1] not in allowed
    ]


@each_module
def test_modules_and_functions_are_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MAX_MODULE_LINES
    nodes = ast.walk(ast.parse(source))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions}
    long = {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES}
    assert not long, f"functions of more than {MAX_FUNCTION_LINES} lines: {long}"


@each_module
def test_imports_run_downwards(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    assert floor(path) in RANK, f"{floor(path)} has no place in FLOORS"
    upwards = imports_upwards(path, ast.parse(path.read_text()))
    assert not upwards, "\n".join(upwards)


def test_an_import_upwards_is_found_however_it_is_written() -> None:
    source = """
from hftlab import Engine, __version__, cli, errors
from .. import engine
from ..bench.clock import now
from . import itch
def late():
    import hftlab.charts
"""
    found = imports_upwards(PACKAGE / "feeds" / "itch.py", ast.parse(source))
    assert [line.rpartition(" ")[2] for line in found] == [
        "hftlab.Engine",
        "hftlab.cli",
        "hftlab.engine",
        "hftlab.bench.clock.now",
        "hftlab.charts",
    ]


def test_one_rust_file_knows_python() -> None:
    sources = (ROOT / "rust_ext" / "src").rglob("*.rs")
    naming = {path.relative_to(ROOT / "rust_ext/src").parts[0] for path in sources if "pyo3" in path.read_text()}
    assert naming == {"py.rs", "py"}
