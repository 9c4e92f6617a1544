"""What a reader may not see before the review is closed, and the codes that are shown instead: the one place for both.

Every answer of the server passes `Blinding.outgoing` last, whatever made it. Codes and the order of tubes come from the
review's seed alone, so that a review that goes on has the same ones and a second reader has others.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from immunolab.study.sample import Sample
from immunolab.study.study import Study

_TEXTS = 20_000  # texts of answers that are remembered: those of a grid of 500 tubes many times over
MASKED = "…"  # in place of a word that has no code: a visit, an arm, a date
_LETTERS = {"tube": "T", "group": "G", "batch": "B", "panel": "S"}
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATES = re.compile(  # 2024-03-01, 1.3.2024, 03/01/24, 01-MAR-2024, Mar 1 2024, and times of day
    "|".join(
        (
            r"\b\d{4}[-./]\d{1,2}[-./]\d{1,2}(?:[T ]\d{2}:\d{2}\S*)?",
            r"\b\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d{2})\b",
            rf"\b\d{{1,2}}[-. ]{_MONTH}[-. ]\d{{2,4}}\b",
            rf"\b{_MONTH}[-. ]\d{{1,2}},? \d{{4}}\b",
            r"\b\d{1,2}:\d{2}:\d{2}(?:\.\d+)?\b",
        )
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Codes:
    """Codes of one kind, both ways."""

    of: Mapping[str, str]

    def name(self, code: str) -> str:
        """Return what a code is of; a KeyError where there is no such code."""
        return self._names[code]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {code: name for name, code in self.of.items()}


class Pixels(str):
    """A picture as base64 text, in which no name is looked for."""

    __slots__ = ()


class Blinding:
    """Codes of the tubes, patients, batches and panels of a run, and texts without any name of them.

    Attributes
    ----------
    blind
        Whether names are masked; a review that is closed, or was opened with its names, shows them.
    """

    def __init__(
        self, study: Study, samples: Sequence[Sample], words: Iterable[str], seed: int, *, blind: bool
    ) -> None:
        """Draw the codes.

        Parameters
        ----------
        study
            Whose names are masked, wherever they are written.
        samples
            The tubes that are reviewed.
        words
            As in `keep`.
        seed
            Of the review.
        blind
            Whether names are masked.
        """
        self.blind = blind
        self._names = _names(study)
        self._draw = random.Random(f"codes {seed}")
        self.tubes = self._codes("tube", [s.sample_id for s in samples])
        self.groups = self._codes("group", [s.patient_id or s.sample_id for s in samples])
        self.batches = self._codes("batch", [s.batch for s in samples])
        self.panels = self._codes("panel", [s.panel for s in samples])
        self._shown = self._replacements(study)
        own = {sample.sample_id for sample in study.samples} | {sample.patient_id for sample in study.samples} - {""}
        self._own = _pattern(own | {name for sample in study.samples for name in _file_names(sample.file)})
        self._kept: frozenset[str] = frozenset()
        self.keep(words)

    def keep(self, words: Iterable[str]) -> None:
        """Leave words as they are: names of populations, markers and channels, which are those of every tube.

        Parameters
        ----------
        words
            One that holds the name of a sample, a patient or a file is masked all the same.
        """
        new = {word for word in words if word and word not in self._kept and not self._own.search(word)}
        if new or not self._kept:
            self._kept |= new
            self._every = _pattern({*self._shown, *self._kept})
            self._worded = _pattern({name for name in self._shown if not _is_number(name)} | self._kept)
            self._masked = lru_cache(maxsize=_TEXTS)(self._text)

    def text(self, text: str, *, numbers: bool = True) -> str:
        """Return a text as it may be read now.

        Parameters
        ----------
        text
            Of an answer, or of the console.
        numbers
            Whether names that are numbers are masked within it. They are in messages, which may name a patient 7, and
            not in texts that hold counts; alone they always are.
        """
        return self._masked(text, numbers) if self.blind else text

    def _codes(self, kind: str, names: Sequence[str]) -> Codes:
        """Return a code for each name, in an order that says nothing; no code is a word of the study."""
        every = sorted({name for name in names if name})
        self._draw.shuffle(every)
        width = len(str(len(every)))
        letters = _LETTERS[kind]
        while any(re.fullmatch(rf"{letters}0*\d+", name, re.IGNORECASE) for name in self._names):
            letters += "x"
        return Codes({name: f"{letters}{place:0{width}d}" for place, name in enumerate(every, 1)})

    def _replacements(self, study: Study) -> dict[str, str]:
        found = {name.casefold(): MASKED for name in self._names}
        for codes in (self.panels, self.batches, self.groups, self.tubes):
            found |= {name.casefold(): code for name, code in codes.of.items()}
        for sample in study.samples:
            code = self.tubes.of.get(sample.sample_id, MASKED)
            found |= {name.casefold(): code for name in _file_names(sample.file)}
        return found

    def tube(self, sample_id: str) -> str:
        """Return what a tube is shown as."""
        return self.tubes.of[sample_id] if self.blind else sample_id

    def sample(self, shown: str) -> str:
        """Return the sample of a tube as it is shown; a KeyError where there is none."""
        return self.tubes.name(shown) if self.blind else {name: name for name in self.tubes.of}[shown]

    def group(self, patient_id: str) -> str:
        """Return what a patient is shown as."""
        return self.groups.of[patient_id] if self.blind else patient_id

    def batch(self, name: str) -> str:
        """Return what a batch is shown as; empty where the sheet has none."""
        return self.batches.of.get(name, "") if self.blind else name

    def panel(self, name: str) -> str:
        """Return what a panel is shown as; empty where the study has one without a name."""
        return self.panels.of.get(name, "") if self.blind else name

    def _text(self, text: str, numbers: bool) -> str:
        """Return a text with codes in place of names; names of gates stay as they are."""
        if text in self._kept:
            return text
        if text.casefold() in self._shown:
            return self._shown[text.casefold()]
        found = self._every if numbers else self._worded
        return found.sub(self._replaced, _DATES.sub(MASKED, text))

    def _replaced(self, match: re.Match[str]) -> str:
        word = match.group()
        return word if word in self._kept else self._shown.get(word.casefold(), word)

    def outgoing(self, value: Any) -> Any:
        """Return a JSON value with every text of it as `text` gives it; keys are words of the protocol.

        Parameters
        ----------
        value
            What a request is answered with.
        """
        if not self.blind:
            return value
        if isinstance(value, str):
            return value if isinstance(value, Pixels) else self.text(value, numbers=False)
        if isinstance(value, Mapping):
            return {key: self.outgoing(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.outgoing(one) for one in value]
        return value


def shuffled(sample_ids: Iterable[str], seed: int) -> dict[str, int]:
    """Return each sample's place in the review's own order.

    Parameters
    ----------
    sample_ids
        In any order.
    seed
        Of the review.
    """
    every = sorted(sample_ids)
    random.Random(f"order {seed}").shuffle(every)
    return {name: place for place, name in enumerate(every)}


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Return what finds words between other characters than letters and digits, the longest first."""
    every = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(
        rf"(?<![^\W_])(?:{'|'.join(map(re.escape, every))})(?![^\W_])" if every else "(?!)", re.IGNORECASE
    )


def _names(study: Study) -> frozenset[str]:
    """Return every word of a study that says which patient, visit, arm, batch, file or day a tube is of."""
    found: set[str] = {study.name, str(study.folder)}
    for sample in study.samples:
        found |= {sample.sample_id, sample.patient_id, sample.batch, sample.panel}
        found |= {sample.visit, sample.cohort} if sample.gated else set()  # a control's visit is a word such as FMO
        found |= {sample.control_of, sample.bridge, sample.aliquot, sample.operator, sample.lot, sample.site}
        found |= {*_file_names(sample.file), *(value for value in sample.extra.values() if not _is_number(value))}
        found |= {sample.date.isoformat()} if sample.date else set()
    if study.trial is not None:
        found |= {study.trial.id, study.trial.title, *study.trial.visit_names}
    if study.arms is not None:
        found |= set(_texts(vars(study.arms)))
    return frozenset(name.strip() for name in found if name and name.strip())


def _file_names(file: Path) -> tuple[str, ...]:
    return str(file), file.name, file.stem


def _is_number(text: str) -> bool:
    """Return whether a cell is a number, which names nobody; it would be found within counts and percents."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _texts(one)
