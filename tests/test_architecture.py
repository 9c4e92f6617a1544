"""Rules of the whole package that no single room's tests see."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import grimp
import networkx
import pytest
from builders import REPOSITORY
from source_trees import PACKAGE, trees

HEAVY = ("anndata", "anywidget", "scanpy", "flowkit", "matplotlib", "numba", "yaml", "sklearn", "statsmodels")
GATHERED = {"notes", "flags", "problems", "faults", "findings", "rows", "warnings"}
CHANGING = ("add", "append", "clear", "extend", "insert", "pop", "remove", "setdefault", "sort", "update")


def handed_lists_changed(tree: ast.Module) -> Iterator[str]:
    """Yield ``function: parameter`` for each list that a function is handed and changes, however deep inside."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        handed = {argument.arg for argument in arguments} & GATHERED
        if not handed:
            continue
        bound = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for name in sorted(handed - bound):
            if any(_changes(node, name) for node in ast.walk(function)):
                yield f"{function.name}: {name}"


def _changes(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return node.func.value.id == name and node.func.attr in CHANGING
    if isinstance(node, ast.AugAssign):
        return isinstance(node.target, ast.Name) and node.target.id == name
    return isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") == name


def test_the_walk_sees_a_list_that_is_changed() -> None:
    text = "def f(a, notes):\n    notes += [a]\ndef g(rows):\n    rows.append(1)\ndef h(rows):\n    return [*rows, 1]"
    text += "\ndef i(flags):\n    flags[0] = 1\ndef j(rows):\n    rows = list(rows)\n    rows.sort()"
    assert list(handed_lists_changed(ast.parse(text))) == ["f: notes", "g: rows", "i: flags"]


def test_functions_do_not_change_the_lists_they_are_handed() -> None:
    found = [f"{path}: {text}" for path, tree in trees().items() for text in handed_lists_changed(tree)]
    assert found == []


def test_a_class_name_means_one_thing() -> None:
    names = Counter(node.name for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_helper_of_tests_or_benchmarks_has_the_name_of_another_module() -> None:
    """Both folders are on the path of one process, where a worker imports a pickled function by its module's name."""
    names = Counter(path.stem for folder in ("tests", "benchmarks") for path in (REPOSITORY / folder).glob("*.py"))
    assert [name for name, n in names.items() if n > 1 or name in sys.stdlib_module_names] == []


def _imported(folder: str) -> Iterator[tuple[Path, str, str]]:
    """Yield (file, module, name) of each name that a folder's files import from the package, in functions too."""
    for path in sorted((REPOSITORY / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
                yield from ((path, str(node.module), alias.name) for alias in node.names)


def test_benchmarks_import_what_the_package_has() -> None:
    named = list(_imported("benchmarks"))
    assert len(named) > 100
    absent = [f"{path.name}: {module}.{name}" for path, module, name in named if not _has(module, name)]
    assert absent == []


def _has(module: str, name: str) -> bool:
    found = importlib.import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)


def test_every_import_contract_holds() -> None:
    # in a process of its own: import-linter sets up logging anew, which would silence the package's log for other tests
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_has_a_contract_of_the_whole_package(library: str) -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [c for c in settings["tool"]["importlinter"]["contracts"] if library in c.get("forbidden_modules", ())]
    assert [contract["source_modules"] for contract in contracts] == [["immunolab"]]


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("immunolab", cache_dir=None)
    imports = networkx.DiGraph(
        (module, imported) for module in graph.modules for imported in graph.find_modules_directly_imported_by(module)
    )
    imports.remove_node("immunolab")  # the face names every room for type checkers, and hands out the version
    assert [sorted(circle) for circle in networkx.strongly_connected_components(imports) if len(circle) > 1] == []
