"""YAML 1.2 files as plain data, and the line of each value.

Plain scalars follow YAML 1.2: booleans are ``true`` and ``false`` only (``on`` and ``no`` are
text), ``4e4`` is a number, ``012`` and ``1_000`` stay text. The only door to the yaml library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from immunolab.errors import InputError, Problem
from immunolab.input_files import path_hint, read_input_text

Place = tuple[str | int, ...]
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PLAIN = re.compile(r"[A-Za-z0-9/](?:[\w ./+-]*[\w/+-])?", re.ASCII)  # text that needs no quotes anywhere
_INFINITE = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
# controls but tab and newline, and marks that turn the direction of text
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_INT = 18  # characters that fit into 64 bits; what is longer is a registration number, no quantity
# Of a file: the largest shipped strategy has 700 values 8 deep in 20 kB (judgement: a hundredfold, read in seconds)
_MOST_VALUES, _CHARACTERS_A_VALUE, _DEEPEST = 100_000, 20, 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast, where the wheel has it


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, the line of each value, and its text."""

    file: str
    data: Any
    lines: dict[Place, int] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)

    def problem(self, place: Place, message: str, hint: str = "") -> Problem:
        """Return a Problem at ``file:line``, naming the place in the document.

        Parameters
        ----------
        place
            Keys and indices that lead to what is wrong; where it is missing, the line is that of what holds it.
        message
            What is wrong.
        hint
            How to fix it.
        """
        known: Place = place
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known)
        spelled = spell_place(place)
        return Problem(self.file, str(line) if line else "", f"{spelled}: {message}" if spelled else message, hint)


def read_yaml(path: Path | str, *, most: int = _MOST_VALUES) -> Document:
    """Read a YAML file.

    Parameters
    ----------
    path
        The file.
    most
        Values that it may hold, of 20 characters on average.

    Raises
    ------
    InputError
        The file is absent, not UTF-8 text, not YAML, or a key is duplicated (every such key is listed).
    """
    path = Path(path)
    try:
        text = read_input_text(path)
    except OSError as error:
        hint = path_hint(path, ".yaml", ".yml")
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", hint)) from None
    except UnicodeDecodeError:
        raise InputError(Problem(str(path), "", "is not UTF-8 text", "save the file as UTF-8")) from None
    return parse_yaml(text, str(path), most=most)


def read_package_yaml(package: str, name: str) -> Document:
    """Read a YAML file shipped in a package of immunolab.

    Parameters
    ----------
    package, name
        Of the package, and of its file.
    """
    return parse_yaml(files(package).joinpath(name).read_text(encoding="utf-8"), name)


def dump_yaml(data: Any) -> str:
    """Return plain data as YAML text that `parse_yaml` reads back to the same data.

    Parameters
    ----------
    data
        Mappings, lists, text, numbers, booleans and None.
    """

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        plain = _scalar(value) == value and not re.search(r"[:#\n{}\[\],&*!|>'\"%@`]|^[-? ]|^$| $", value)
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else "'")

    Dumper.add_representer(str, text)
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def parse_yaml(text: str, file: str = "<text>", *, most: int = _MOST_VALUES) -> Document:
    """Parse YAML text; see `read_yaml`.

    Parameters
    ----------
    text
        The file's text.
    file
        Its name, for messages.
    most
        As in `read_yaml`.

    Raises
    ------
    InputError
        The text is not YAML, or a key is duplicated.
    """
    if len(text) > most * _CHARACTERS_A_VALUE:
        hint = "long lists belong into a table"
        raise InputError(Problem(file, "", f"is longer than {most * _CHARACTERS_A_VALUE:,} characters", hint))
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except RecursionError:
        raise _too_deep(file) from None
    except yaml.MarkedYAMLError as error:
        if "nesting depth" in str(error.problem):  # the parser's own limit, which not every build of it has
            raise _too_deep(file) from None
        mark = error.problem_mark
        place = str(mark.line + 1) if mark else ""
        raise InputError(Problem(file, place, f"not valid YAML: {error.problem}", "check indent and quotes")) from None
    except yaml.YAMLError as error:
        raise InputError(Problem(file, "", f"not valid YAML: {error}", "check indent and quotes")) from None
    builder = _Builder(file, most)
    data = builder.value(root, ()) if root is not None else None
    if builder.problems:
        raise InputError(builder.problems)
    return Document(file, data, builder.lines, text)


def flow_yaml(value: Any) -> str:
    """Return plain data as YAML on one line, which `parse_yaml` reads back to the same data.

    Characters that cannot be seen, which no YAML file here may hold, are replaced.

    Parameters
    ----------
    value
        Mappings with text keys, lists, text, finite numbers, booleans and None.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow_yaml(str(key))}: {flow_yaml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow_yaml, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value, allow_nan=False)
    plain = _PLAIN.fullmatch(value) and _scalar(value) == value
    if plain:
        return value
    seen = _UNSEEN.sub("\ufffd", value)
    return f"'{seen}'" if '"' in seen and not re.search(r"['\n\t\\]", seen) else json.dumps(seen, ensure_ascii=False)


def _too_deep(file: str) -> InputError:
    return InputError(Problem(file, "", f"values nest deeper than {_DEEPEST}", "an alias may hold itself"))


class _Builder:
    def __init__(self, file: str, most: int) -> None:
        self.file = file
        self.most = most
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self.count = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.count += 1
        if self.count > self.most:
            raise InputError(Problem(self.file, "", f"more than {self.most} values", "aliases may repeat too much"))
        if len(place) > _DEEPEST:
            raise _too_deep(self.file)
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        self.visible(node)
        plain = isinstance(node, yaml.ScalarNode) and not node.style and not node.tag.startswith("!")
        return _scalar(node.value) if plain else node.value

    def visible(self, node: yaml.Node) -> None:
        if _UNSEEN.search(node.value):
            text = f"{node.value[:40]!r} holds a character that cannot be seen"
            self.problems.append(Problem(self.file, str(node.start_mark.line + 1), text, "type it again"))

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = str(key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(self.file, line, "a key must be a single word", "quote the key"))
                continue
            self.visible(key_node)
            key = key_node.value
            if key in data:
                self.problems.append(Problem(self.file, line, f"'{key}' is duplicated", "keep one of them"))
            data[key] = self.value(value_node, (*place, key))
            self.lines[(*place, key)] = key_node.start_mark.line + 1
        return data


def _scalar(text: str) -> Any:
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.fullmatch(text):
        return int(text) if len(text) <= _LONGEST_INT else text
    if _FLOAT.fullmatch(text):
        return float(text)
    return _INFINITE.get(text.lower(), text)


def spell_place(place: Place) -> str:
    """Return a place as it is written for people: ``endpoints[0].source``.

    Parameters
    ----------
    place
        Keys and indices that lead to it.
    """
    return "".join(_steps(place)).lstrip(".")


def _steps(place: Place) -> Iterator[str]:
    for step in place:
        yield f"[{step}]" if isinstance(step, int) else f".{step}"
