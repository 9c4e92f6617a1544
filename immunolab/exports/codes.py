"""Names of trials' data sets: short codes that are the same in every run, subjects, visits in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from immunolab.errors import InputError, Problem
from immunolab.results.run import Run

_LONGEST = 8  # characters of a name or code in SAS transport files, version 5
_OF_HASH = 3  # of the code of a longer name: 46,656 words, against names that begin alike
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def short_code(name: str) -> str:
    """Return a code of at most 8 capital letters and digits, which depends on the name alone.

    Parameters
    ----------
    name
        Id of an endpoint, a variable or a population.
    """
    plain = re.sub("[^A-Z0-9]", "", name.upper())
    plain = plain if plain[:1].isalpha() else f"X{plain}"
    if len(plain) <= _LONGEST and plain == re.sub("[^A-Z0-9]", "", name.upper()) and name.isalnum():
        return plain
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    tail = "".join(_DIGITS[number // 36**place % 36] for place in range(_OF_HASH))
    return plain[: _LONGEST - _OF_HASH] + tail


def short_codes(names: Iterable[str]) -> dict[str, str]:
    """Return the code of each name.

    Parameters
    ----------
    names
        As of `short_code`.

    Raises
    ------
    InputError
        Two names would share a code; every such code is named.
    """
    codes = {name: short_code(name) for name in dict.fromkeys(names)}
    alike: dict[str, list[str]] = {}
    for name, code in codes.items():
        alike.setdefault(code, []).append(name)
    shared = {code: some for code, some in alike.items() if len(some) > 1}
    if shared:
        hint = "give one of each an id of its own of at most 8 letters and digits, in the trial or study.yaml"
        raise InputError(
            [Problem("", code, f"is the code of {' and of '.join(some)}", hint) for code, some in shared.items()]
        )
    return codes


def study_id(run: Run) -> str:
    """Return the registration of the trial, or the study's name."""
    trial = run.study.trial
    return trial.registry if trial and trial.registry else run.study.name


def visit_numbers(run: Run) -> dict[str, int]:
    """Return the number of each visit: its place in the trial's calendar from 1; of others 101 and on.

    Others are in the order of their study days; where one has no day, of the study's visits.
    """
    trial = run.study.trial
    planned = list(trial.visit_names) if trial else []
    day = run.endpoints.groupby("visit")["study_day"].median().sort_values()
    seen = [*(run.sampled_visits if day.isna().any() else ()), *map(str, day.index)]
    others = [visit for visit in dict.fromkeys(seen) if visit not in planned]
    others += sorted({s.visit for s in run.study.samples} - {*planned, *others})
    return {v: n for n, v in enumerate(planned, start=1)} | {v: n for n, v in enumerate(others, start=101)}


def arm_of(run: Run) -> dict[str, str]:
    """Return each patient's arm; empty where the study declares no arms or the patient is in none."""
    arms = run.study.arms
    return {
        s.patient_id: s.cohort if arms and (not arms.active or s.cohort in (arms.control, *arms.active)) else ""
        for s in run.samples
    }
