"""Docstrings of the public names, and of the functions and methods that one module takes from another."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache

import pytest
from source_trees import module_name, trees

import immunolab

NOTHING = ("None", "NoReturn")


@cache
def _modules() -> dict[str, ast.Module]:
    return {module_name(path): tree for path, tree in trees().items()}


def sections(doc: str) -> dict[str, str]:
    """Return the text of each section whose heading is underlined, by heading; the summary under ``""``."""
    parts = re.split(r"^(\w+)\n-{3,}$", doc, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented_parameters(doc: str) -> set[str]:
    """Return the names on lines of their own in the section Parameters."""
    lines = re.findall(r"^([*\w][\w*, ]*)$", sections(doc).get("Parameters", ""), flags=re.MULTILINE)
    return {name.strip().lstrip("*") for line in lines for name in line.split(",")}


def parameters(function: ast.FunctionDef) -> list[str]:
    """Return the names of a function's parameters, without ``self`` and ``cls``."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument.arg for argument in every if argument is not None and argument.arg not in ("self", "cls")]


def _own_statements(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_statements(child)


def faults(function: ast.FunctionDef) -> list[str]:
    """Return what the docstring of a public function lacks: parameters, results, errors that its own body raises."""
    doc = ast.get_docstring(function) or ""
    lacking = sorted(set(parameters(function)) - documented_parameters(doc))
    returned = ast.unparse(function.returns) if function.returns else ""
    is_property = any("property" in ast.unparse(decorator) for decorator in function.decorator_list)
    if returned not in NOTHING and not is_property and not {"Returns", "Yields"} & set(sections(doc)):
        lacking.append("Returns")
    raised = {ast.unparse(n.exc).split("(")[0] for n in _own_statements(function) if isinstance(n, ast.Raise) and n.exc}
    classes = {name for name in raised if name[0].isupper()}  # the others are functions that make the error
    return lacking + sorted(name for name in classes if name not in sections(doc).get("Raises", ""))


def _definitions(scope: ast.Module | ast.ClassDef) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """Return functions and classes by name; of an overloaded function the last, which holds the docstring."""
    return {node.name: node for node in scope.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _public(name: str) -> list[tuple[str, ast.FunctionDef]]:
    """Return the function of a public name, or the public methods of its class, as written in the source."""
    module = importlib.import_module(getattr(immunolab, name).__module__)
    found = _definitions(_modules()[module.__name__])[name]
    if isinstance(found, ast.FunctionDef):
        return [(name, found)]
    methods = _definitions(found).items()
    return [
        (f"{name}.{method}", node)
        for method, node in methods
        if isinstance(node, ast.FunctionDef) and not method.startswith("_")
    ]


def _taken() -> set[tuple[str, str]]:
    """Return (module, name) of all that a module of the package takes from another, by name or through the module."""
    taken: set[tuple[str, str]] = set()
    for tree in _modules().values():
        names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("immunolab"):
                taken |= {(node.module, alias.name) for alias in node.names}
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                taken.add((names.get(node.value.id, ""), node.attr))
    return taken


def _shared_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield functions, and public methods of classes, that another module of the package takes."""
    taken = _taken()
    for module, tree in _modules().items():
        for name, node in _definitions(tree).items():
            if (module, name) not in taken:
                continue
            if isinstance(node, ast.FunctionDef):
                yield f"{module}.{name}", node
                continue
            for method, own in _definitions(node).items():
                hidden = method.startswith("_") or method in _methods_of_bases(node)
                if isinstance(own, ast.FunctionDef) and not hidden:
                    yield f"{module}.{name}.{method}", own


@cache
def _classes() -> dict[str, ast.ClassDef]:
    """Return the classes of the package by name, which means one thing (test_architecture)."""
    found = (node for tree in _modules().values() for node in _definitions(tree).values())
    return {node.name: node for node in found if isinstance(node, ast.ClassDef)}


def _methods_of_bases(node: ast.ClassDef) -> set[str]:
    """Return the names of the methods that a class takes over from bases of the package, where they are described."""
    bases = [_classes()[name] for name in map(ast.unparse, node.bases) if name in _classes()]
    return {method for base in bases for method in _definitions(base).keys() | _methods_of_bases(base)}


def test_the_reading_of_a_docstring_sees_what_is_missing() -> None:
    text = '''
def complete(a, *rest, b, c=1, **more) -> int:
    """Say what it is.

    Parameters
    ----------
    a
        Of shape (n,).
    rest, b, c
        In percent.
    more
        Passed on.

    Returns
    -------
    int
        A count.

    Raises
    ------
    ValueError
        Where a is negative.
    """
    raise ValueError(a)

def lacking(self, a, b) -> int:
    """Say what it is.

    Parameters
    ----------
    a
        Beside b.
    """
    raise KeyError(a)
'''
    complete, lacking = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    assert faults(complete) == []
    assert faults(lacking) == ["b", "Returns", "KeyError"]


@pytest.mark.parametrize("name", sorted(immunolab.__all__))
def test_a_public_name_says_what_it_takes_returns_and_raises(name: str) -> None:
    assert {where: lacking for where, function in _public(name) if (lacking := faults(function))} == {}


def test_what_takes_several_parameters_and_is_used_by_another_module_says_what_each_is() -> None:
    lacking = {
        where: missing
        for where, function in _shared_functions()
        if len(parameters(function)) > 1
        and (missing := sorted(set(parameters(function)) - documented_parameters(ast.get_docstring(function) or "")))
    }
    assert lacking == {}


def test_each_entry_of_a_section_is_a_line_with_its_text_indented_below() -> None:
    loose = {
        f"{module}.{node.name}: {heading}"
        for module, tree in _modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for heading, text in sections(ast.get_docstring(node) or "").items()
        if heading in ("Parameters", "Returns", "Yields", "Raises", "Attributes")
        and re.search(r"^\S.*$(?!\n {4}\S)", text, re.MULTILINE)
    }
    assert loose == set()
