"""Plain data of a YAML file as frozen dataclasses: every fault with its line."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from immunolab.config.document import Document, Place, spell_place
from immunolab.errors import InputError, Problem, allowed_hint, nearest, nearest_word

T = TypeVar("T")
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


def build(cls: type[T], document: Document) -> T:
    """Return a document as a frozen dataclass.

    Parameters
    ----------
    cls
        A dataclass; its field names are the keys, its annotations the values that they may have.
    document
        A file as it was read, with the line of each key.

    Raises
    ------
    InputError
        Every unknown key, missing key and value of a wrong kind, each with its line and, for a misspelt key or choice,
        the nearest allowed word.
    """
    converter = _Converter(document)
    value = converter.convert(cls, document.data, ())
    if converter.faults:
        raise InputError(converter.faults)
    return value  # type: ignore[no-any-return]


def build_sound(cls: type[T], document: Document) -> tuple[T, list[Problem], frozenset[str]]:
    """Return a document as it is meant, what is wrong with it, and the keys under which something is.

    So a reader can go on and find more. A key that cannot be taken as meant (`build_as_meant`) has its default.

    Parameters
    ----------
    cls
        A dataclass.
    document
        The file.

    Raises
    ------
    InputError
        A key without a default is wrong, or the document is no mapping.
    """
    whole, faults = build_as_meant(cls, document)
    if not isinstance(document.data, dict):
        raise InputError(faults)
    hints = get_type_hints(cls, include_extras=True)
    taken: dict[str, Any] = {}
    doubtful = set(document.data) - set(hints)
    for key in (key for key in document.data if key in hints):
        own = _Converter(document)
        value = own.convert(hints[key], document.data[key], (key,))
        taken |= {} if own.n_senseless else {key: value}
        doubtful |= {key} if own.faults else set()
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    if whole is None and not set(needed) <= set(taken):
        raise InputError(faults)
    return whole if whole is not None else cls(**taken), faults, frozenset(doubtful)


def build_as_meant(cls: type[T], document: Document) -> tuple[T | None, list[Problem]]:
    """Return a document as a frozen dataclass with each misspelt word taken for the nearest, and all that is wrong.

    So a reader can go on and find more. A text that is missing is its own place (``endpoints[0].source``), and a
    record that does not say its class is of the first class that has its keys. None where something else is wrong:
    another key is missing, or a value is of another kind.

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
                return self.unsaid(variants, data, place)
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

    def unsaid(self, variants: Variants, data: Mapping[str, Any], place: Place) -> Any:
        """Return a record that does not say its class as the first one that has its keys, with what all find wrong."""
        attempts = []
        stated = {key: value for key, value in data.items() if key != variants.key and value is not None}
        for kind in variants.classes.values():
            attempt = _Converter(self.document)
            attempts.append((attempt, attempt.record(kind, stated, place)))
        fewest = min(len(attempt.faults) for attempt, _ in attempts)
        (best, value), *others = [one for one in attempts if len(one[0].faults) == fewest]
        said = [{fault.message for fault in other.faults} for other, _ in others]
        is_any = len(others) == len(attempts) - 1  # nothing tells them apart
        hint = f"one of: {', '.join(variants.classes)}"
        self.fault((*place, variants.key), "the key is missing", hint, meant=None if is_any else best)
        self.faults += [fault for fault in best.faults if all(fault.message in messages for messages in said)]
        self.n_senseless += best.n_senseless
        return None if is_any else value

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
                values[name] = spell_place((*place, name)) if hints[name] is str else None
                self.fault((*place, name), "the key is missing", meant=values[name])
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
