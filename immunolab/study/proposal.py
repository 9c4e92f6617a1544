"""Patients and visits proposed from file names: by one pattern for the whole folder, which is shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from immunolab.study.name_pattern import by_pattern
from immunolab.study.trial import Trial

_VISIT = re.compile(
    r"(?:w|wk|week|v|visit|d|day|m|month|t)[-.]?\d{1,3}|baseline|bl|screening|scr|pre|post|eot|fu\d*", re.IGNORECASE
)
_WEEK = re.compile(r"(?:w|wk|week)[-.]?0*(\d{1,3})", re.IGNORECASE)
_CONTROL = re.compile(r"fmo.*|unstained|unst|isotype|iso|comp|compensation|beads?", re.IGNORECASE)
_FMO = re.compile(r"fmo[-. ]?(.*)", re.IGNORECASE)
_BATCH = re.compile(r"batch-?\w+", re.IGNORECASE)
_SEPARATORS = (r"[_ ]+", r"[_ .]+", r"[_ .\-]+")


@dataclass(frozen=True)
class NamedFile:
    """What a file's name says; an empty field is one it does not say."""

    file: str
    patient: str = ""
    visit: str = ""
    written_visit: str = ""
    batch: str = ""
    control: str = ""
    marker: str = ""


@dataclass(frozen=True)
class Names:
    """The files of a folder, and the pattern their names were read by (empty when there is none)."""

    pattern: str
    files: tuple[NamedFile, ...]

    @property
    def unparsed(self) -> tuple[str, ...]:
        """Files whose patient or visit stays open."""
        return tuple(f.file for f in self.files if not f.control and not (f.patient and f.visit))


@dataclass(frozen=True)
class _Tokens:
    """A name cut into words; places count from the end, the folders before the words."""

    file: str
    words: tuple[str, ...]
    n_folders: int

    def at(self, place: int) -> str:
        return self.words[place] if -len(self.words) <= place < 0 else ""


def read_names(files: Sequence[str], trial: Trial | None = None, pattern: str = "") -> Names:
    """Return patient and visit of files (paths with ``/``) as far as one pattern gives them.

    Every way to cut the names and to place patient and visit is tried; the one that gives most files
    their own patient and visit, and most patients several visits, is taken. A visit that the
    trial does not have is left empty, as is everything the pattern does not give.

    Parameters
    ----------
    files
        Paths relative to one folder, with ``/``.
    trial
        Its visits; without one visits keep their spelling.
    pattern
        Of the user's own, as `by_pattern` reads it; "" tries all.

    Raises
    ------
    InputError
        The pattern says no patient and visit, or fits no file.
    """
    if pattern:
        said = by_pattern(files, pattern)
        pairs = {file: (words["patient"], words["visit"]) for file, words in said.items()}
        return _names(files, pattern, pairs, trial, {file: words.get("batch", "") for file, words in said.items()})
    own = frozenset(name.lower() for name in trial.visit_names) if trial else frozenset()
    best: tuple[tuple[int, int, int, int], str, dict[str, tuple[str, str]]] | None = None
    for separator in _SEPARATORS:
        cut = [_cut(file, separator) for file in files]
        stained = [tokens for tokens in cut if not any(_CONTROL.fullmatch(word) for word in tokens.words)]
        longest = max((len(tokens.words) for tokens in stained), default=0)
        for visit_place in range(-longest, 0):
            for patient_place in range(-longest, 0):
                pairs = _pairs(stained, visit_place, patient_place, own)
                score = _score(pairs, visit_place, patient_place)
                if pairs and (best is None or score > best[0]):
                    best = score, _spell(stained, visit_place, patient_place), pairs
    return _names(files, best[1], best[2], trial, {}) if best else _names(files, "", {}, trial, {})


def _names(
    files: Sequence[str],
    pattern: str,
    found: dict[str, tuple[str, str]],
    trial: Trial | None,
    batches: dict[str, str],
) -> Names:
    """Return the files with patient and visit as found, and the batch by a pattern where it says one."""
    patients = {patient for patient, _ in found.values()}
    named = (_named(file, found.get(file, ("", "")), patients, trial) for file in files)
    return Names(pattern, tuple(replace(one, batch=batches.get(one.file) or one.batch) for one in named))


def _cut(file: str, separator: str) -> _Tokens:
    path = PurePosixPath(file)
    words = [word for word in re.split(separator, path.stem) if word]
    return _Tokens(file, (*path.parts[:-1], *words), len(path.parts) - 1)


def _pairs(
    cut: Sequence[_Tokens], visit_place: int, patient_place: int, own: frozenset[str]
) -> dict[str, tuple[str, str]]:
    """Return patient and visit by file; ``own`` are the trial's visit names, in small letters."""

    def is_visit(word: str) -> bool:
        return word.lower() in own or bool(_VISIT.fullmatch(word))

    if visit_place == patient_place:
        return {}
    pairs = {t.file: (t.at(patient_place), t.at(visit_place)) for t in cut}
    return {
        file: (patient, visit)
        for file, (patient, visit) in pairs.items()
        if patient and is_visit(visit) and not is_visit(patient) and re.search(r"\d|^\w{2,}$", patient)
    }


def _score(named: dict[str, tuple[str, str]], visit_place: int, patient_place: int) -> tuple[int, int, int, int]:
    pairs = set(named.values())
    visits = Counter(patient for patient, _ in pairs)
    paired = sum(n for n in visits.values() if n > 1)
    numbered = sum(bool(re.search(r"\d", patient)) for patient in visits)
    return paired, len(pairs), numbered, -abs(visit_place - patient_place)


def _spell(cut: Sequence[_Tokens], visit_place: int, patient_place: int) -> str:
    """Return the pattern: ``*/PATIENT_VISIT_*``."""
    longest = max(cut, key=lambda tokens: len(tokens.words))
    words = ["*"] * len(longest.words)
    words[visit_place], words[patient_place] = "VISIT", "PATIENT"
    folders, stem = words[: longest.n_folders], words[longest.n_folders :]
    return "/".join([*folders, "_".join(stem)])


def _named(file: str, pair: tuple[str, str], patients: set[str], trial: Trial | None) -> NamedFile:
    path = PurePosixPath(file)
    words = [word for part in (*path.parts[:-1], path.stem) for word in re.split(r"[_ ]+", part)]
    control = next((word for word in words if _CONTROL.fullmatch(word)), "")
    batch = next((word for word in words if _BATCH.fullmatch(word)), "")
    patient, written = pair
    if control:
        patient = next((word for word in words if word in patients), "")
    return NamedFile(
        file=file,
        patient=patient,
        visit=_visit(written, trial),
        written_visit=written,
        batch=batch,
        control=control,
        marker=_fmo_marker(words, control),
    )


def _fmo_marker(words: Sequence[str], control: str) -> str:
    found = _FMO.fullmatch(control)
    if not found:
        return ""
    place = words.index(control)
    return found.group(1) or (words[place + 1] if place + 1 < len(words) else "")


def _visit(written: str, trial: Trial | None) -> str:
    """Return the visit's name in the trial; a week counts by its number, anything else by its spelling."""
    if trial is None or not written:
        return written
    for name in trial.visit_names:
        if name.lower() == written.lower():
            return name
    week = _WEEK.fullmatch(written)
    if week is None:
        return ""
    return next((v.name for v in trial.visits if v.target_day == 7 * int(week.group(1)) + 1), "")
