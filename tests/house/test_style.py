"""Does the house keep its shape: floors, small folders, files and functions, no circle of imports, pyo3 in one Rust folder?"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "hftlab"

# The eight floors, lowest first. A folder may import from its own floor and from those below it.
FLOORS: list[tuple[str, ...]] = [
    ("errors", "events", "settings", "presentation", "protocols"),
    ("feeds", "stages"),
    ("engine",),
    ("measurement", "charts"),
    ("experiments", "profiling", "conformance", "fills", "net"),
    ("diagnostics", "reporting", "notebook", "loadtest", "batch"),
    ("cli",),
    ("__init__",),
]
#: What the laboratory must never mention: both import it, and are listed by diagnostics and the command line if they are there.
ANNEXES = {"net", "loadtest"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_FILES = 13

RANK = {name: rank for rank, names in enumerate(FLOORS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})


def floor(path: Path) -> str:
    """The floor a file belongs to: hftlab/feeds/itch.py -> 'feeds', hftlab/errors.py -> 'errors'."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    """Dotted: hftlab/feeds/itch.py -> 'hftlab.feeds.itch', hftlab/feeds/__init__.py -> 'hftlab.feeds'."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, at the top, inside a function or under TYPE_CHECKING."""
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
        f"{path.relative_to(ROOT)}:{line}: {own} imports {name}"
        for line, name in imported_modules(path, tree)
        if name.startswith("hftlab.") and name.split(".")[1] not in allowed
    ]


def import_graph() -> dict[str, set[str]]:
    """Module -> the modules of the package it imports, those under TYPE_CHECKING and inside functions too."""
    names = {module_name(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        found = {name for _, name in imported_modules(path, ast.parse(path.read_text()))}
        inside = {name if name in names else name.rpartition(".")[0] for name in found}
        graph[module_name(path)] = (inside & names) - {module_name(path), "hftlab"}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every group of nodes that reach each other (strongly connected components of more than one; Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return groups


def by_folder(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same graph between folders of the package."""

    def folder(name: str) -> str:
        path = ROOT.joinpath(*name.split("."))
        return name if path.is_dir() else name.rpartition(".")[0]

    out: dict[str, set[str]] = {}
    for name, others in graph.items():
        if name != "hftlab":
            out.setdefault(folder(name), set()).update(folder(other) for other in others)
    return {name: others - {name, "hftlab"} for name, others in out.items() if name != "hftlab"}


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])
def test_files_and_functions_are_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MAX_FILE_LINES
    nodes = ast.walk(ast.parse(source))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions}
    long = {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES}
    assert not long, f"functions of more than {MAX_FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("folder", FOLDERS, ids=[str(f.relative_to(ROOT)) for f in FOLDERS])
def test_a_folder_holds_about_twelve_files(folder: Path) -> None:
    assert len([*folder.glob("*.py")]) <= MAX_FILES


def test_nothing_is_loose_in_the_root() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py", "events.py", "settings.py"}
    assert {floor(path) for path in MODULES} <= set(RANK)


def test_imports_run_down_the_floors() -> None:
    upwards = [
        line for path in MODULES if path != PACKAGE / "__init__.py" for line in imports_upwards(path, ast.parse(path.read_text()))
    ]
    assert not upwards, "\n".join(upwards)


def test_no_circle_of_files_or_folders() -> None:
    graph = import_graph()
    assert not circles(graph), "\n".join(" <-> ".join(group) for group in circles(graph))
    folders = by_folder(graph)
    assert not circles(folders), "\n".join(" <-> ".join(group) for group in circles(folders))


def test_the_laboratory_does_not_mention_its_annexes() -> None:
    inside = [path for path in MODULES if floor(path) not in {*ANNEXES, "cli", "diagnostics", "__init__"}]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in inside
        for line, name in imported_modules(path, ast.parse(path.read_text()))
        if name.startswith("hftlab.") and name.split(".")[1] in ANNEXES
    ]
    assert not found, "\n".join(found)


def test_an_import_upwards_is_found_however_it_is_written() -> None:
    source = """
from hftlab import Engine, __version__, cli, errors
from .. import engine
from ..measurement.clock import now
from . import itch
def late():
    import hftlab.charts
"""
    found = imports_upwards(PACKAGE / "feeds" / "itch.py", ast.parse(source))
    assert [line.rpartition(" ")[2] for line in found] == [
        "hftlab.Engine",
        "hftlab.cli",
        "hftlab.engine",
        "hftlab.measurement.clock.now",
        "hftlab.charts",
    ]


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_one_rust_folder_knows_python() -> None:
    sources = (ROOT / "rust_ext" / "src").rglob("*.rs")
    naming = {path.relative_to(ROOT / "rust_ext/src").parts[0] for path in sources if "pyo3" in path.read_text()}
    assert naming == {"py"}
