"""YAML 1.2 files as plain data or frozen dataclasses, every fault with its line.

Plain scalars follow YAML 1.2: booleans are ``true`` and ``false`` only (``on`` and ``no`` are
text), ``4e4`` is a number, ``012`` and ``1_000`` stay text. The only door to the yaml library.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from immunolab.errors import InputError, Problem, allowed_hint, nearest, nearest_word
from immunolab.input_files import path_hint, read_input_text

T = TypeVar("T")
Place = tuple[str | int, ...]
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
# controls but tab and newline, and marks that turn the direction of text
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_INT = 18  # characters that fit into 64 bits; what is longer is a registration number, no quantity
# Of a file: the largest shipped strategy has 700 values 8 deep in 20 kB (judgement: a hundredfold, read in seconds)
_MOST_CHARACTERS, _MOST_VALUES, _DEEPEST = 2_000_000, 100_000, 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast, where the wheel has it


NOT_A_KEY: Mapping[str, bool] = {"key": False}  # metadata of a dataclass field that no YAML file states


@dataclass(frozen=True)
class Variants:
    """Annotation of a record that is of one of several classes; the word under one of its keys says which.

    Attributes
    ----------
    key
        The key whose word chooses.
    classes
        Class by word. A key of a record that is null counts as left out.
    """

    key: str
    classes: Mapping[str, type]


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, and the line of each value."""

    file: str
    data: Any
    lines: dict[Place, int] = field(default_factory=dict, repr=False)

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
        spelled = _spell(place)
        return Problem(self.file, str(line) if line else "", f"{spelled}: {message}" if spelled else message, hint)


def read_yaml(path: Path | str) -> Document:
    """Read a YAML file.

    Parameters
    ----------
    path
        The file.

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
    return parse_yaml(text, str(path))


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


def parse_yaml(text: str, file: str = "<text>") -> Document:
    """Parse YAML text; see `read_yaml`.

    Parameters
    ----------
    text
        The file's text.
    file
        Its name, for messages.

    Raises
    ------
    InputError
        The text is not YAML, or a key is duplicated.
    """
    if len(text) > _MOST_CHARACTERS:
        hint = "long lists belong into a table"
        raise InputError(Problem(file, "", f"is longer than {_MOST_CHARACTERS:,} characters", hint))
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
    builder = _Builder(file)
    data = builder.value(root, ()) if root is not None else None
    if builder.problems:
        raise InputError(builder.problems)
    return Document(file, data, builder.lines)


def _too_deep(file: str) -> InputError:
    return InputError(Problem(file, "", f"values nest deeper than {_DEEPEST}", "an alias may hold itself"))


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self.count = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.count += 1
        if self.count > _MOST_VALUES:
            raise InputError(Problem(self.file, "", f"more than {_MOST_VALUES} values", "aliases may repeat too much"))
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


def build(cls: type[T], document: Document, place: Place = ()) -> T:
    """Return the value at a place of a document as a frozen dataclass.

    Parameters
    ----------
    cls
        A dataclass; its field names are the keys, its annotations the values that they may have.
    document
        A file as it was read, with the line of each key.
    place
        Keys and indices that lead to the value; the whole document by default.

    Raises
    ------
    InputError
        Every unknown key, missing key and value of a wrong kind, each with its line and, for a misspelt key or choice,
        the nearest allowed word.
    """
    data = document.data
    for step in place:
        data = data[step]
    converter = _Converter(document)
    value = converter.convert(cls, data, place)
    if converter.faults:
        raise InputError(converter.faults)
    return value  # type: ignore[no-any-return]


def build_sound(cls: type[T], document: Document) -> tuple[T, list[Problem]]:
    """Return a document as a frozen dataclass, with the default in place of every key that is wrong, and what is wrong.

    So a reader can go on and find more.

    Parameters
    ----------
    cls
        A dataclass.
    document
        The file.

    Raises
    ------
    InputError
        A key without a default is missing or wrong, or the document is no mapping.
    """
    converter = _Converter(document)
    whole = converter.convert(cls, document.data, ())
    if not converter.faults:
        return whole, []
    if not isinstance(document.data, dict):
        raise InputError(converter.faults)
    hints = get_type_hints(cls, include_extras=True)
    sound: dict[str, Any] = {}
    for key in (key for key in document.data if key in hints):
        own = _Converter(document)
        value = own.convert(hints[key], document.data[key], (key,))
        sound |= {} if own.faults else {key: value}
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    if not set(needed) <= set(sound):
        raise InputError(converter.faults)
    return cls(**sound), converter.faults


def build_as_meant(cls: type[T], document: Document) -> tuple[T | None, list[Problem]]:
    """Return a document as a frozen dataclass with each misspelt word taken for the nearest, and all that is wrong.

    So a reader can go on and find more. None where something else is wrong too: a missing key, a value of another kind.

    Parameters
    ----------
    cls
        A dataclass.
    document
        The file.
    """
    converter = _Converter(document)
    value = converter.convert(cls, document.data, ())
    return (None if converter.n_senseless else value), converter.faults


def record_keys(kind: Any) -> list[str]:
    """Return the keys that a YAML file may state for a dataclass.

    Parameters
    ----------
    kind
        A dataclass.
    """
    return [item.name for item in fields(kind) if item.metadata.get("key", True)]


class _Converter:
    """Turns plain data into dataclasses and gathers what is wrong on the way.

    A word that is misspelt is a fault, and is taken for the nearest one; ``n_senseless`` counts faults of other kinds,
    for which nothing can be taken.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.faults: list[Problem] = []
        self.n_senseless = 0

    def fault(self, place: Place, message: str, hint: str = "", *, meant: object = None) -> None:
        self.faults.append(self.document.problem(place, message, hint))
        self.n_senseless += meant is None

    def convert(self, kind: Any, data: Any, place: Place) -> Any:
        if kind is Any or kind is object:
            return data
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.variant(arguments[1], data, place)
        if origin in (Union, types.UnionType):
            return self.union(arguments, data, place)
        if origin is Literal:
            return self.choice(arguments, data, place)
        if is_dataclass(kind):
            return self.record(kind, data, place)
        if origin in (tuple, list):
            if not isinstance(data, list):
                self.fault(place, f"a list is needed, not {_describe(data)}", "write [a, b]")
                return ()
            return origin(self.convert(arguments[0], item, (*place, i)) for i, item in enumerate(data))
        if origin is dict:
            if not isinstance(data, dict):
                self.fault(place, f"a mapping is needed, not {_describe(data)}", "write key: value")
                return {}
            return {key: self.convert(arguments[1], item, (*place, key)) for key, item in data.items()}
        return self.scalar(kind, data, place)

    def choice(self, words: Sequence[Any], data: Any, place: Place) -> Any:
        if data in words:
            return data
        by_text = {str(word): word for word in words}
        meant = by_text.get(nearest_word(str(data), by_text))
        self.fault(place, f"unknown value '{data}'", allowed_hint(str(data), by_text), meant=meant)
        return meant

    def scalar(self, kind: Any, data: Any, place: Place) -> Any:
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if kind is str and isinstance(data, (int, float)) and not isinstance(data, bool):
            return str(data)
        if isinstance(data, kind) and not (kind in (int, float) and isinstance(data, bool)):
            return data
        wanted = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(kind, kind.__name__)
        self.fault(place, f"{wanted} is needed, not {_describe(data)}")
        return None

    def union(self, kinds: Sequence[Any], data: Any, place: Place) -> Any:
        if data is None and type(None) in kinds:
            return None
        attempts = []
        for kind in (kind for kind in kinds if kind is not type(None)):
            attempt = _Converter(self.document)
            value = attempt.convert(kind, data, place)
            if not attempt.faults:
                return value
            attempts.append((attempt.n_senseless, attempt.faults, value))
        meant = [one for one in attempts if not one[0]]  # a word, misspelt
        n_senseless, faults, value = (meant or attempts)[0]
        self.faults += faults
        self.n_senseless += n_senseless
        return value

    def variant(self, variants: Variants, data: Any, place: Place) -> Any:
        if not self.mapping(
            data, place, f"write key: value, with {variants.key}: one of {', '.join(variants.classes)}"
        ):
            return None
        word = data.get(variants.key)
        if not isinstance(word, str) or word not in variants.classes:
            if word is None:
                self.fault((*place, variants.key), "the key is missing")
                return None
            word = self.choice(tuple(variants.classes), word, (*place, variants.key))
            if word is None:
                return None
        kind = variants.classes[word]
        stated = {key: value for key, value in data.items() if key != variants.key and value is not None}
        for key in [key for key in stated if key not in record_keys(kind)]:
            owners = [other for other, of in variants.classes.items() if key in record_keys(of)]
            if owners:
                del stated[key]
                hint = f"it belongs to {', '.join(owners)}; keys of {word}: {', '.join(record_keys(kind))}"
                self.fault((*place, key), f"{word} has no key '{key}'", hint)
        return self.record(kind, stated, place)

    def record(self, kind: Any, data: Any, place: Place) -> Any:
        if not self.mapping(data, place, f"write key: value; known keys: {', '.join(record_keys(kind))}"):
            return None
        hints = get_type_hints(kind, include_extras=True)
        known = {item.name: item for item in fields(kind) if item.metadata.get("key", True)}
        before = self.n_senseless
        for key in data:
            if key not in known:
                hint = f"{nearest(key, known)} known keys: {', '.join(known)}".strip()
                self.fault((*place, key), "unknown key", hint, meant=key)  # the rest is read without it
        values: dict[str, Any] = {}
        for name, item in known.items():
            if name in data:
                values[name] = self.convert(hints[name], data[name], (*place, name))
            elif item.default is MISSING and item.default_factory is MISSING:
                self.fault((*place, name), "the key is missing")
        return kind(**values) if self.n_senseless == before else None

    def mapping(self, data: Any, place: Place, hint: str) -> bool:
        if not isinstance(data, dict):
            self.fault(place, f"keys and values are needed, not {_describe(data)}", hint)
        return isinstance(data, dict)


def _describe(data: Any) -> str:
    if data is None:
        return "nothing"
    if isinstance(data, dict):
        return "a mapping"
    return "a list" if isinstance(data, list) else f"'{data}'"


def _spell(place: Place) -> str:
    return "".join(_steps(place)).lstrip(".")


def _steps(place: Place) -> Iterator[str]:
    for step in place:
        yield f"[{step}]" if isinstance(step, int) else f".{step}"
