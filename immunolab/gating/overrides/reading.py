"""Overrides read from their file: every fault at once, with its line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from immunolab.config import Document, Place, read_yaml
from immunolab.errors import InputError, Problem, allowed_hint, nearest
from immunolab.events.transforms import Auto, Identity
from immunolab.gating.gate_words import as_drawn, shape_faults
from immunolab.gating.gates import Declared, Ellipsoid, Gate, Polygon, Rectangle
from immunolab.gating.overrides.entry_words import MOST_CORNERS, exact_gate, gate_words, rounded
from immunolab.gating.overrides.override import Override, StatedBorder
from immunolab.gating.overrides.remarks import remarks_of
from immunolab.gating.strategy_faults import StrategyFault, is_number
from immunolab.gating.strategy_parser import GateReader
from immunolab.input_files import is_there
from immunolab.schema.files import content_key
from immunolab.schema.overrides import REASONS, Reason

# values of a file: 500 tubes x 12 gates, each with polygons of eight corners (judgement: ten times a large review)
_MOST_VALUES = 600_000
_TEXTS = ("change", "population", "comment", "at", "file_sha256", "entry")
_KEYS = (
    "id", "sample", "threshold", "gate", "was", "reason", "reader", "percent_before", "percent_after", "exact", *_TEXTS,
)  # fmt: skip
_SHAPES = ("above", "below", "between", "rectangle", "polygon", "ellipse")
_SCALES = {"default": Auto(), "scatter": Identity()}
_ID_LENGTH = 12  # of a content key, where an entry has no id: no two of a file's entries share it by chance


def read_overrides(path: Path | str) -> tuple[Override, ...]:
    """Read the overrides of a study, in the order of the file.

    Parameters
    ----------
    path
        ``overrides.yaml``; where there is no such file, there is no override.

    Returns
    -------
    tuple of Override
        Of the same tube and population the last one counts.

    Raises
    ------
    InputError
        Every fault of the file, each with its line.
    """
    if not is_there(path):
        return ()
    document = read_yaml(path, most=_MOST_VALUES)
    data = {} if document.data is None else document.data  # nothing but comments
    if not isinstance(data, dict) or not isinstance(data.get("overrides") or [], list):
        hint = "write overrides: and below it - {sample: ..., threshold: {CD25: 3000}, reason: ..., reader: ...}"
        raise InputError(document.problem((), "a list under the key 'overrides' is needed", hint))
    problems = [
        document.problem((key,), f"unknown key '{key}'", "known keys: overrides") for key in data if key != "overrides"
    ]
    reader = _Entries(document)
    entries = data.get("overrides") or []
    starts = accumulate((document.lines[("overrides", index)] for index in range(len(entries))), max)
    remarks = remarks_of(document.text, list(starts))
    found = [
        replace(one, remarks=() if place else remarks[index])
        for index, entry in enumerate(entries)
        for place, one in enumerate(reader.entry(entry, index))
    ]
    problems += reader.problems
    if problems:
        raise InputError(problems)
    return tuple(found)


class _Entries:
    """Reads one entry after the other, and keeps what is wrong in ``problems``."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._ids: dict[str, int] = {}

    def entry(self, entry: Any, index: int) -> Iterator[Override]:
        """Yield the overrides of an entry, one a sample that it names; none where something is wrong with it."""
        place: Place = ("overrides", index)
        before = len(self.problems)
        if not isinstance(entry, dict):
            self._add(place, "a mapping is needed", "write {sample: ..., threshold: {CD25: 3000}, reason: ...}")
            return
        for key in entry:
            if key not in _KEYS:
                self._add(
                    (*place, key), f"unknown key '{key}'", f"{nearest(key, _KEYS)} known keys: {', '.join(_KEYS)}"
                )
        samples = self._samples(entry, place)
        texts = {key: self._text(entry, key, place) for key in (*_TEXTS, "reader")}
        reason = self._reason(entry, place)
        self._date(texts["at"], (*place, "at"))
        shares = [self._share(entry, key, place) for key in ("percent_before", "percent_after")]
        borders = self._borders(entry, (*place, "threshold"))
        gate, was = self._gates(entry, place, needed=not borders)
        if gate is not None and not texts["population"]:
            self._add((*place, "population"), "the key is missing", "name the population whose gate it is")
        names = self._identities(entry, place, len(samples))
        change = texts["change"] or str(entry.get("id") or (names[0] if names else ""))
        if len(self.problems) > before:
            return
        for sample, name in zip(samples, names, strict=True):
            yield Override(
                id=name,
                change=change,
                sample_id=sample,
                path=texts["population"],
                gate=gate,
                was=was,
                reason=reason,
                comment=texts["comment"],
                reader=texts["reader"],
                at=texts["at"],
                percent_before=shares[0],
                percent_after=shares[1],
                file_sha256=texts["file_sha256"],
                entry=texts["entry"],
                borders=borders,
            )

    def _add(self, place: Place, message: str, hint: str = "") -> None:
        self.problems.append(self._document.problem(place, message, hint.strip()))

    def _samples(self, entry: Mapping[str, Any], place: Place) -> list[str]:
        data = entry.get("sample")
        names = data if isinstance(data, list) else [data]
        if not names or not all(isinstance(name, (str, int)) and str(name).strip() for name in names):
            self._add(
                (*place, "sample"), "a sample_id of the sheet is needed, or a list of them", "write sample: P01_W0"
            )
            return []
        return [str(name) for name in names]

    def _text(self, entry: Mapping[str, Any], key: str, place: Place) -> str:
        value = entry.get(key)
        if key == "reader" and (value is None or not str(value).strip()):
            self._add((*place, key), "the key is missing", "write who placed the gate: reader: AB")
        if value is not None and not (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
            self._add((*place, key), "text is needed")
            return ""
        return "" if value is None else str(value)

    def _reason(self, entry: Mapping[str, Any], place: Place) -> Reason:
        word = entry.get("reason")
        if word is None:
            self._add((*place, "reason"), "the key is missing", f"one of: {', '.join(REASONS)}")
        elif not isinstance(word, str) or word not in REASONS:
            self._add((*place, "reason"), f"unknown reason '{word}'", allowed_hint(str(word), REASONS))
        elif word == "other" and not entry.get("comment"):
            self._add((*place, "reason"), "the reason 'other' needs a comment", "write comment: and why")
        return cast("Reason", word)

    def _date(self, text: str, place: Place) -> None:
        try:
            date = datetime.fromisoformat(text) if text else None
        except ValueError:
            self._add(place, f"'{text}' is no date", "write 2026-11-26, or 2026-11-26T14:05:00Z")
            return
        if date is not None and "T" in text and date.tzinfo is None:
            self._add(place, f"'{text}' has no time zone", "write UTC: 2026-11-26T14:05:00Z")

    def _share(self, entry: Mapping[str, Any], key: str, place: Place) -> float | None:
        value = entry.get(key)
        if value is None or (is_number(value) and 0.0 <= value <= 100.0):
            return None if value is None else float(value)
        self._add((*place, key), f"{value!r} is no percentage", "leave the key out: the run counts")
        return None

    def _identities(self, entry: Mapping[str, Any], place: Place, n: int) -> list[str]:
        """Return an id for each sample of an entry."""
        stated = entry.get("id")
        own = str(stated) if stated else content_key({"entry": entry})[:_ID_LENGTH]
        taken = next((name for name in _with_samples(own, n) if name in self._ids), None)
        if taken is not None and stated:
            line = self._document.lines.get(("overrides", self._ids[taken]), "")
            text = f"the id '{taken}' is duplicated: line {line} has it"
            self._add((*place, "id"), text, "give each entry its own id")
        while not stated and not self._ids.keys().isdisjoint(_with_samples(own, n)):  # the same words twice, by hand
            own += "+"
        names = _with_samples(own, n)
        for name in names:
            self._ids.setdefault(name, int(place[1]))
        return names[-n:] if n else []

    def _borders(self, entry: Mapping[str, Any], place: Place) -> tuple[StatedBorder, ...]:
        data = entry.get("threshold")
        if data is None:
            return ()
        if "gate" in entry:
            self._add(place, "threshold and gate exclude each other", "keep one of them")
        if not isinstance(data, dict) or not data:
            self._add(place, "a mapping from marker to number is needed", "write threshold: {CD25: 3000}")
            return ()
        found = []
        for marker, value in data.items():
            ends = value if isinstance(value, list) and len(value) == 2 else [value]
            if not all(_is_finite(end) or (end is None and len(ends) == 2) for end in ends) or ends == [None, None]:
                hint = f"write {{{marker}: 3000}}, or {{{marker}: [1000, 3000]}} for both ends, null for an open one"
                self._add((*place, marker), "a number in instrument units is needed", hint)
            elif len(ends) == 2 and None not in ends and ends[0] >= ends[1]:
                message = f"the low end {ends[0]:g} is not below the high end {ends[1]:g}"
                self._add((*place, marker), message, "write [low, high]")
            else:
                found.append(StatedBorder(str(marker), tuple(None if end is None else float(end) for end in ends)))
        return tuple(found)

    def _gates(self, entry: Mapping[str, Any], place: Place, *, needed: bool) -> tuple[Gate | None, Gate | None]:
        """Return the reader's gate and the one that it replaced."""
        exact = entry.get("exact")
        if exact is not None and not isinstance(exact, dict):
            self._add((*place, "exact"), "a mapping is needed", "remove the key: numbers of gate then count")
            exact = {}
        gate = self._gate(entry, exact or {}, "gate", place)
        if gate is None and needed and "gate" not in entry and "threshold" not in entry:
            hint = "write threshold: {CD25: 3000}, or gate: {polygon: {x: CD25, y: CD127, points: [[...], ...]}}"
            self._add(place, "a gate is missing", hint)
        return gate, self._gate(entry, exact or {}, "was", place)

    def _gate(self, entry: Mapping[str, Any], exact: Mapping[str, Any], key: str, place: Place) -> Gate | None:
        words, at = entry.get(key), (*place, key)
        if key in exact:
            return self._exact(words, exact[key], key, place)
        if words is None or (key == "was" and isinstance(words, str)):
            return None
        if not isinstance(words, dict) or len(words) != 1 or next(iter(words)) not in _SHAPES:
            self._add(
                at, f"one gate is needed, with one of: {', '.join(_SHAPES)}", "write {rectangle: {CD25: [3000, null]}}"
            )
            return None
        if "ellipse" in words:
            hint = "draw it in `immunolab review`, or write a polygon"
            self._add(at, "an ellipse is round on the scales of a figure, which a file by hand does not have", hint)
            return None
        reader = GateReader(_SCALES, {}, (), "instrument")
        gate = reader.gate(words, at)
        self._faults(reader.faults, ())
        if reader.faults or gate is None:
            return None
        return self._shaped(as_drawn(gate, _SCALES) if isinstance(gate, Declared) else gate, at)

    def _exact(self, words: Any, text: Any, key: str, place: Place) -> Gate | None:
        try:
            gate = exact_gate(text)
            agree = words is None or rounded(words) == gate_words(gate)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            self._add((*place, "exact", key), f"cannot be read: {error}", f"remove it: numbers of {key} then count")
            return None
        if not agree:
            message = f"is not the gate that exact.{key} holds with all digits"
            self._add((*place, key), message, f"remove {key} from exact for the numbers of {key} to count")
            return None
        return self._shaped(gate, (*place, key)) if key == "gate" else gate

    def _shaped(self, gate: Gate, at: Place) -> Gate | None:
        if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
            self._add(at, "a border at a place is needed", "write {above: {marker: CD25, at: 3000}}")
            return None
        if isinstance(gate, Polygon) and len(gate.vertices) > MOST_CORNERS:
            self._add(at, f"a polygon of {len(gate.vertices):,} corners", f"draw it with at most {MOST_CORNERS:,}")
            return None
        faults = shape_faults(gate)
        self._faults(faults, at)
        return None if faults else gate

    def _faults(self, faults: list[StrategyFault], at: Place) -> None:
        for fault in faults:
            self._add((*at, *fault.place), fault.message, fault.hint)


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _with_samples(own: str, n: int) -> list[str]:
    """Return an entry's id, and those of its samples where it has several: ``a``, ``a.1``, ``a.2``."""
    return [own] if n <= 1 else [own, *(f"{own}.{i + 1}" for i in range(n))]
