"""The comparison with borders that follow the bridging control, beside the uncorrected one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from immunolab.comparison.bridge_errors import Parts, pair_parts, shift_error, tube_errors, widened
from immunolab.comparison.plan import Compared, Plan
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import ComparisonError, InputError
from immunolab.intervals import NORMAL_95
from immunolab.schema.bridges import BRIDGE_ERROR, BRIDGE_FOLLOWS, BRIDGE_PAIRS, BRIDGE_SHIFTS
from immunolab.schema.contrast import JOINED_BY
from immunolab.schema.flags import READERS, split

_FEWEST = 3  # pairs of a tested shift, as everywhere (`Code.E_N_MIN`)
_ONE, _MIXED, _SAME = "one batch a patient", "batches differ within patients", "visit equals batch"
_MOST_REASONS = 3  # of pairs that are left out, in words: bridge_pairs has all
_NOT_SAID = (
    "what the bridge does not show (intensities, absolute counts, gates of scatter and viability) is not answered"
)


_Batches = Mapping[tuple[str, str], str]
"""(patient, visit) -> batch."""
_ByReaders = frozenset[tuple[str, str, str]]
"""(patient, visit, endpoint) whose number depends on a reader's gate."""


@dataclass(frozen=True)
class _Recounted:
    """One comparison with its rows counted again: of every patient whose borders all followed."""

    plan: Plan
    endpoints: frozenset[str]
    again: Comparison | None
    reasons: Mapping[str, tuple[str, str]]
    parts: Mapping[tuple[str, str], Parts]


def bridged_tables(
    rows: pd.DataFrame,
    counted: pd.DataFrame,
    shares: Mapping[tuple[str, str], str],
    compared: Sequence[Compared],
    refused: Mapping[str, str],
    pairs: pd.DataFrame,
    shifts: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """Return bridge_shifts and bridge_pairs; empty tables are left out.

    Parameters
    ----------
    rows
        The endpoint table.
    counted
        Rows of OTHER_GATINGS.
    shares
        Endpoint that is the percentage of a population of a parent, by (population, parent).
    compared
        The comparisons made.
    refused
        sample_id -> why its borders did not follow.
    pairs, shifts
        Rows of PAIRS and SHIFTS of the uncorrected comparison.
    """
    keys = zip(counted["population"], counted["parent"], strict=True)
    own = counted.assign(endpoint=[shares.get(key) for key in keys]).dropna(subset=["endpoint"])
    further = own[own["rule"] == BRIDGE_ERROR]
    own = own[own["rule"] == BRIDGE_FOLLOWS]
    found = [_followed(rows, own, further, one, refused) for one in compared]
    wanted, batches, by_readers = set(shares.values()), _batches(rows), _by_readers(rows)
    of_pairs: list[dict[str, Any]] = []
    of_shifts: list[dict[str, Any]] = []
    for one in found:
        contrast = str(one.plan.contrast)
        mine = pairs[pairs["endpoint"].isin(one.endpoints & wanted)]
        made = _pair_rows(mine, one, batches, by_readers)
        of_pairs += made
        theirs = shifts[shifts["endpoint"].isin(one.endpoints & wanted) & (shifts["contrast"] == contrast)]
        of_shifts += _shift_rows(theirs, made, one, batches)
    tables = {"bridge_shifts": BRIDGE_SHIFTS.frame(of_shifts), "bridge_pairs": BRIDGE_PAIRS.frame(of_pairs)}
    return {name: table for name, table in tables.items() if len(table)}


def _followed(
    rows: pd.DataFrame, counted: pd.DataFrame, further: pd.DataFrame, one: Compared, refused: Mapping[str, str]
) -> _Recounted:
    plan = replace(one.plan, batch={})
    sides = (plan.before, plan.after)
    own = rows[rows["endpoint"].isin(one.endpoints) & (rows["visit"].isin(sides) | rows["phase"].isin(sides))]
    reasons = {
        str(patient): (str(sample), refused[str(sample)])
        for patient, sample in zip(own["patient_id"], own["sample_id"], strict=True)
        if str(sample) in refused
    }
    again = own.drop(columns=["n_events", "n_parent", "value", "gate_low", "gate_high", "batch"], errors="ignore")
    again = again[~again["patient_id"].isin(list(reasons))]
    again = again.merge(
        counted[["sample_id", "endpoint", "n", "of"]].rename(columns={"n": "n_events", "of": "n_parent"}),
        on=["sample_id", "endpoint"],
    )
    again["value"] = 100.0 * again["n_events"] / again["n_parent"].where(again["n_parent"] > 0)
    try:
        made = compare_endpoints(again, plan) if len(again) else None
    except (ComparisonError, InputError):
        made = None  # no pair is left: its rows say why
    parts = {} if made is None else _parts(made.pairs, own, counted, further)
    return _Recounted(one.plan, frozenset(one.endpoints), made, reasons, parts)


def _parts(
    pairs: pd.DataFrame, rows: pd.DataFrame, counted: pd.DataFrame, further: pd.DataFrame
) -> dict[tuple[str, str], Parts]:
    """Return (patient, endpoint) -> what the moves may change the shift by; none where that is not known."""
    found: dict[tuple[str, str], Parts] = {}
    if "batch" not in rows:
        return found
    for endpoint, own in pairs.groupby("endpoint"):
        scale = str(own["shift_scale"].iloc[0])
        mine, more = (table[table["endpoint"] == endpoint] for table in (counted, further))
        errors = tube_errors(mine, more, scale)
        tubes = rows[rows["endpoint"] == endpoint].groupby("patient_id")[["sample_id", "visit", "batch"]]
        for pair in own[own["shift"].notna()].to_dict("records") if errors else ():
            held = {str(name): value for name, value in pair.items()}
            patient = pair["patient_id"]
            found[str(patient), str(endpoint)] = pair_parts(held, tubes.get_group(patient), errors)
    return found


def _pair_rows(pairs: pd.DataFrame, one: _Recounted, batches: _Batches, by_readers: _ByReaders) -> list[dict[str, Any]]:
    again = {} if one.again is None else _by_key(one.again.pairs)
    found = []
    for row in pairs.to_dict("records"):
        other = again.get((str(row["patient_id"]), str(row["endpoint"])))
        sample, reason = one.reasons.get(str(row["patient_id"]), (None, None))
        if other is None and reason is None:
            reason = _left_out(row, batches, by_readers)
        parts = one.parts.get((str(row["patient_id"]), str(row["endpoint"])))
        if parts is None and _design([row], batches) == _ONE:
            parts = {}  # no border had to move
        found.append(
            {name: row[name] for name in ("patient_id", "cohort", "endpoint", "visit_before", "visit_after", "unit")}
            | {name: row[name] for name in ("before", "after", "verdict")}
            | {f"{name}_bridged": other[name] if other else None for name in ("before", "after")}
            | _call(other, parts, row.get("limit"))
            | {"outcome": "refused" if other is None else "followed", "sample_refused": sample, "reason": reason}
        )
    return found


def _left_out(row: Mapping[Any, Any], batches: _Batches, by_readers: _ByReaders) -> str:
    """Return the reason why a pair was not counted again though no bridge refused."""
    visits = [visit for side in ("visit_before", "visit_after") for visit in str(row[side]).split(JOINED_BY)]
    if any((str(row["patient_id"]), visit, str(row["endpoint"])) in by_readers for visit in visits):
        return "a gate that a reader placed follows no bridge"
    named = all("" not in side for side in _sides(row, batches))
    return "a population has no border in one of the tubes" if named else "the sheet names no batch of a tube"


def _call(pair: Mapping[str, Any] | None, parts: Parts | None, least: float | None) -> dict[str, Any]:
    """Return a patient's call with the error of the moves in its limit, and that error; none where it is not known.

    The limit is never below that of the uncorrected call, whose noise may be measured in tubes that are not counted
    again: repeat baselines and the bridging controls' own runs.
    """
    if pair is None or parts is None:
        return {"verdict_bridged": None, "move_se": None}
    error, verdict = shift_error([parts]), pair["verdict"]
    limit = pair["limit"] if least is None or pd.isna(least) else max(pair["limit"], least)
    if verdict in ("rise", "fall") and abs(pair["shift"]) <= math.hypot(limit, NORMAL_95 * error):
        verdict = "within_noise"
    return {"verdict_bridged": verdict, "move_se": error}


def _by_key(pairs: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    return {(str(r["patient_id"]), str(r["endpoint"])): r for r in pairs.to_dict("records") if pd.notna(r["shift"])}


def _shift_rows(
    shifts: pd.DataFrame, pairs: Sequence[Mapping[str, Any]], one: _Recounted, batches: _Batches
) -> list[dict[str, Any]]:
    again = {} if one.again is None else {(_text(r["cohort"]), r["endpoint"]): r for r in _records(one.again.shifts)}
    found = []
    for row in _records(shifts):
        cohort, endpoint = _text(row["cohort"]), str(row["endpoint"])
        own = [p for p in pairs if _text(p["cohort"]) == cohort and p["endpoint"] == endpoint and _whole(p)]
        parts = [one.parts.get((str(p["patient_id"]), endpoint)) for p in own if p["outcome"] == "followed"]
        refused = [p for p in own if p["outcome"] == "refused"]
        other = again.get((cohort, endpoint), {})
        design = _design(own, batches)
        reasons = list(dict.fromkeys(str(p["reason"]) for p in refused))
        reason = "; ".join([*reasons[:_MOST_REASONS], *(["and others"] if len(reasons) > _MOST_REASONS else [])])
        error = _error(parts, design)
        found.append(
            {name: row[name] for name in ("cohort", "endpoint", "contrast", "fold")}
            | {"ci_low": _as_fold(row, "ci_low"), "ci_high": _as_fold(row, "ci_high")}
            | {"n": len(own), "n_followed": len(own) - len(refused), "n_refused": len(refused)}
            | {"fold_bridged": other.get("fold")}
            | {f"{name}_bridged": _as_fold(_with_error(other, error), name) for name in ("ci_low", "ci_high")}
            | {"move_se": error, "design": design}
            | {"answer": _answer(design, len(own) - len(refused), len(refused), reason, withheld=error is None)}
        )
    return found


def _error(parts: Sequence[Parts | None], design: str) -> float | None:
    """Return the standard error from the moves; None where it is not known though borders followed."""
    known = [one for one in parts if one is not None]
    if design == _ONE:
        return 0.0
    if not known or len(known) < len(parts) or not any(known):
        return None
    return shift_error(known)


def _with_error(row: Mapping[str, Any], error: float | None) -> dict[str, Any]:
    """Return a row of SHIFTS whose limits hold the error of the moves; without them where that is not known."""
    names = [name for name in ("ci_low", "ci_high") if row.get(name) is not None and pd.notna(row[name])]
    if error is None:
        return {**row, "ci_low": None, "ci_high": None}
    return {**row, **{name: widened(float(row["estimate"]), float(row[name]), error) for name in names}}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _whole(pair: Mapping[str, Any]) -> bool:
    return bool(pd.notna(pair["before"]) and pd.notna(pair["after"]))


def _as_fold(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or pd.isna(value) or row.get("fold") is None or pd.isna(row["fold"]):
        return None
    return math.exp(float(value))


def _batches(rows: pd.DataFrame) -> _Batches:
    """Return the batch of each patient's visit, where the sheet names one."""
    known = rows.dropna(subset=["batch"]) if "batch" in rows else rows.iloc[:0].assign(batch="")
    return {(str(p), str(v)): str(b) for p, v, b in zip(*(known[c] for c in _PLACES), strict=True)}


def _by_readers(rows: pd.DataFrame) -> _ByReaders:
    if "flag" not in rows:
        return frozenset()
    own = rows.loc[[not READERS.isdisjoint(split(words)) for words in rows["flag"]]]
    return frozenset(zip(*(own[name].astype(str) for name in ("patient_id", "visit", "endpoint")), strict=True))


def _sides(pair: Mapping[str, Any], batches: _Batches) -> tuple[set[str], set[str]]:
    """Return the batches of a pair's earlier and later tubes; "" for those of none."""
    before, after = (
        {batches.get((str(pair["patient_id"]), visit), "") for visit in str(pair[side]).split(JOINED_BY)}
        for side in ("visit_before", "visit_after")
    )
    return before, after


def _design(pairs: Sequence[Mapping[str, Any]], batches: _Batches) -> str:
    """Return how batches are distributed over the visits of some pairs."""
    sides = [_sides(pair, batches) for pair in pairs]
    if all(before == after and len(before) == 1 and "" not in before for before, after in sides):
        return _ONE
    before, after = (set().union(*(pair[i] for pair in sides)) for i in (0, 1))
    return _SAME if before.isdisjoint(after) else _MIXED


_PLACES = ("patient_id", "visit", "batch")


def _answer(design: str, n_followed: int, n_refused: int, reason: str, *, withheld: bool) -> str:
    """Return what can be answered and what cannot, in words."""
    pairs = "1 pair is" if n_refused == 1 else f"{n_refused} pairs are"
    left = f" {pairs} left out: {reason}." if n_refused else ""
    left += " Its limits are withheld: the error of the moves is not known." if withheld and n_followed else ""
    if design == _ONE:
        return f"Every patient's visits are of one batch: nothing had to follow.{left}"
    if n_followed < _FEWEST:
        lost = (
            "batch and visit coincide, so that the uncorrected shift may be the batches'; " if design == _SAME else ""
        )
        return (
            f"Not answered: {lost}the bridge can be used for {n_followed} pair{'' if n_followed == 1 else 's'}.{left}"
        )
    if design == _SAME:
        return (
            "Batch and visit coincide: the uncorrected shift may be the batches'. With borders that follow the bridge "
            f"the shift of this share can be answered, as far as the bridge holds; {_NOT_SAID}.{left}"
        )
    return f"Borders followed the bridge from batch to batch; {_NOT_SAID}.{left}"
