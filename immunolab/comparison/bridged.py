"""The comparison with borders that follow the bridging control, beside the uncorrected one."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from immunolab.comparison.bridge_agreement import TwoAnswers, agreements, disagreements
from immunolab.comparison.bridge_design import (
    ONE_BATCH,
    Batches,
    ByReaders,
    Group,
    answer_of,
    batches_of,
    by_readers_of,
    design_of,
    group_of,
    sides_of,
)
from immunolab.comparison.bridge_errors import FOLD_SCALES, Parts, pair_parts, shift_error, tube_errors, widened
from immunolab.comparison.plan import Compared, Plan
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import ComparisonError, InputError
from immunolab.intervals import NORMAL_95
from immunolab.schema.bridges import (
    BRIDGE_ERROR,
    BRIDGE_FOLLOWS,
    BRIDGE_PAIRS,
    BRIDGE_SHIFTS,
    DATA_GATES,
    DATA_GATES_FOLLOW,
)
from immunolab.schema.contrast import JOINED_BY
from immunolab.schema.csv_files import cell_text

_MOST_REASONS = 3  # of pairs that are left out, in words: bridge_pairs has all


@dataclass(frozen=True)
class _Recounted:
    """One comparison with its rows counted again, of every pair whose borders all followed, and not, of the same.

    ``reasons`` (tube and why its borders did not follow), ``parts`` and ``doubted`` (what tubes' own borders have
    against it) are by patient and endpoint.
    """

    plan: Plan
    endpoints: frozenset[str]
    again: Comparison | None
    same: Comparison | None
    reasons: Mapping[tuple[str, str], tuple[str, str]]
    parts: Mapping[tuple[str, str], Parts]
    agreed: Mapping[tuple[str, Group], TwoAnswers] = field(default_factory=dict)
    doubted: Mapping[tuple[str, str], str] = field(default_factory=dict)


def bridged_tables(
    rows: pd.DataFrame,
    counted: pd.DataFrame,
    shares: Mapping[tuple[str, str], str],
    compared: Sequence[Compared],
    refused: Mapping[str, str],
    pairs: pd.DataFrame,
    shifts: pd.DataFrame,
    placed: Collection[str] = (),
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
    placed
        Tubes whose own borders their events placed: what follows is compared with these.
    """
    keys = zip(counted["population"], counted["parent"], strict=True)
    own = counted.assign(endpoint=[shares.get(key) for key in keys]).dropna(subset=["endpoint"])
    by_rule = {
        str(rule): own[own["rule"] == rule] for rule in (BRIDGE_FOLLOWS, BRIDGE_ERROR, DATA_GATES, DATA_GATES_FOLLOW)
    }
    wanted, batches, by_readers = set(shares.values()), batches_of(rows), by_readers_of(rows)
    checked = rows[rows["sample_id"].isin(list(placed))]
    found = [_believed(rows, by_rule, one, refused, checked, pairs) for one in compared]
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
        key: (str(sample), refused[str(sample)])
        for key, sample in zip(_keys(own), own["sample_id"], strict=True)
        if str(sample) in refused
    }
    again = own.drop(columns=["n_events", "n_parent", "value", "gate_low", "gate_high", "batch"], errors="ignore")
    again = _rows_of(again, reasons, held=False)
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
    same = None
    if made is not None:
        same = compare_endpoints(_rows_of(own, _keys(made.pairs)).drop(columns="batch", errors="ignore"), plan)
    return _Recounted(one.plan, frozenset(one.endpoints), made, same, reasons, parts)


def _rows_of(rows: pd.DataFrame, keys: Collection[tuple[str, str]], *, held: bool = True) -> pd.DataFrame:
    """Return the rows of some patients' endpoints, or all others."""
    wanted = set(keys)
    return rows[np.array([(key in wanted) is held for key in _keys(rows)], dtype=bool)]


def _keys(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return patient and endpoint of every row."""
    return list(zip(rows["patient_id"].astype(str), rows["endpoint"].astype(str), strict=True))


def _believed(
    rows: pd.DataFrame,
    by_rule: Mapping[str, pd.DataFrame],
    one: Compared,
    refused: Mapping[str, str],
    checked: pd.DataFrame,
    pairs: pd.DataFrame,
) -> _Recounted:
    """Return a comparison counted again without the shares that borders placed on each tube contradict."""
    counted, further = by_rule[BRIDGE_FOLLOWS], by_rule[BRIDGE_ERROR]
    found = _followed(rows, counted, further, one, refused)
    if found.again is None:
        return found
    again = _by_key(found.again.pairs)
    own = _by_key(pairs[pairs["endpoint"].isin(one.endpoints)])
    said = [(batches_of(checked), again, own, "")]
    if len(by_rule[DATA_GATES_FOLLOW]):
        by_data = batches_of(rows[rows["sample_id"].isin(by_rule[DATA_GATES_FOLLOW]["sample_id"])])
        follows, stays = (_counted_by(rows, by_rule[rule], one, refused) for rule in (DATA_GATES_FOLLOW, DATA_GATES))
        said.append((by_data, follows, stays, ", by gates that data place beside the drawn ones"))
    agreed: dict[tuple[str, Group], TwoAnswers] = {}
    doubted: dict[tuple[str, str], str] = {}
    for batches, follows, stays, words in said:
        groups = {
            key: group_of(pair, batches)
            for key, pair in follows.items()
            if key in again and key in stays and pair["shift_scale"] in FOLD_SCALES
        }
        groups = {key: one for key, one in groups.items() if one[0] != one[1] and "" not in one[0] + one[1]}
        apart = [(key[1], one, float(follows[key]["shift"] - stays[key]["shift"])) for key, one in groups.items()]
        agreed |= agreements(apart)
        against = disagreements(agreed)
        doubted |= {key: against[key[1], one] + words for key, one in groups.items() if (key[1], one) in against}
    if doubted:
        found = _followed(_rows_of(rows, doubted, held=False), counted, further, one, refused)
    return replace(found, agreed=agreed, doubted=doubted)


def _counted_by(
    rows: pd.DataFrame, counted: pd.DataFrame, one: Compared, refused: Mapping[str, str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the pairs of a comparison whose rows are counted by other gates."""
    made = _followed(rows, counted, counted.iloc[:0], one, refused).again
    return {} if made is None else _by_key(made.pairs)


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


def _pair_rows(pairs: pd.DataFrame, one: _Recounted, batches: Batches, by_readers: ByReaders) -> list[dict[str, Any]]:
    again = {} if one.again is None else _by_key(one.again.pairs)
    found = []
    for row in pairs.to_dict("records"):
        key = str(row["patient_id"]), str(row["endpoint"])
        other, parts = again.get(key), one.parts.get(key)
        sample, reason = one.reasons.get(key, (None, None))
        if other is None and reason is None:
            reason = one.doubted.get(key) or _left_out(row, batches, by_readers)
        if parts is None and design_of([row], batches) == ONE_BATCH:
            parts = {}  # no border had to move
        found.append(
            {name: row[name] for name in ("patient_id", "cohort", "endpoint", "visit_before", "visit_after", "unit")}
            | {name: row[name] for name in ("before", "after", "verdict")}
            | {f"{name}_bridged": other[name] if other else None for name in ("before", "after")}
            | _call(other, parts, row.get("limit"))
            | {"outcome": "refused" if other is None else "followed", "sample_refused": sample, "reason": reason}
        )
    return found


def _left_out(row: Mapping[Any, Any], batches: Batches, by_readers: ByReaders) -> str:
    """Return the reason why a pair was not counted again though no bridge refused."""
    if lacking := [str(row[f"visit_{side}"]) for side in ("before", "after") if pd.isna(row[side])]:
        return f"no value at {' and '.join(lacking)}"
    visits = [visit for side in ("visit_before", "visit_after") for visit in str(row[side]).split(JOINED_BY)]
    if any((str(row["patient_id"]), visit, str(row["endpoint"])) in by_readers for visit in visits):
        return "a gate that a reader placed follows no bridge"
    named = all("" not in side for side in sides_of(row, batches))
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
    shifts: pd.DataFrame, pairs: Sequence[Mapping[str, Any]], one: _Recounted, batches: Batches
) -> list[dict[str, Any]]:
    again, same = (
        {} if made is None else {(cell_text(r["cohort"]), r["endpoint"]): r for r in _records(made.shifts)}
        for made in (one.again, one.same)
    )
    found = []
    for row in _records(shifts):
        cohort, endpoint = cell_text(row["cohort"]), str(row["endpoint"])
        own = [p for p in pairs if cell_text(p["cohort"]) == cohort and p["endpoint"] == endpoint and _whole(p)]
        parts = [one.parts.get((str(p["patient_id"]), endpoint)) for p in own if p["outcome"] == "followed"]
        refused = [p for p in own if p["outcome"] == "refused"]
        other = again.get((cohort, endpoint), {})
        design = design_of(own, batches)
        reasons = list(dict.fromkeys(str(p["reason"]) for p in refused))
        reason = "; ".join([*reasons[:_MOST_REASONS], *(["and others"] if len(reasons) > _MOST_REASONS else [])])
        error = _error(parts, design)
        found.append(
            {name: row[name] for name in ("cohort", "endpoint", "contrast", "fold")}
            | {"ci_low": _as_fold(row, "ci_low"), "ci_high": _as_fold(row, "ci_high")}
            | {"n": len(own), "n_followed": len(own) - len(refused), "n_refused": len(refused)}
            | {"fold_same_pairs": same.get((cohort, endpoint), {}).get("fold"), "fold_bridged": other.get("fold")}
            | {f"{name}_bridged": _as_fold(_with_error(other, error), name) for name in ("ci_low", "ci_high")}
            | {"move_se": error, "unseen": _unseen(one, own, batches), "design": design}
            | {"answer": answer_of(design, len(own) - len(refused), len(refused), reason, withheld=error is None)}
        )
    return found


def _unseen(one: _Recounted, pairs: Sequence[Mapping[str, Any]], batches: Batches) -> float | None:
    """Return the largest common error that own borders would not have shown, over batches of pairs that followed."""
    keys = {(str(p["endpoint"]), group_of(p, batches)) for p in pairs if p["outcome"] == "followed"}
    return max((one.agreed[key].unseen for key in keys if key in one.agreed), default=None)


def _error(parts: Sequence[Parts | None], design: str) -> float | None:
    """Return the standard error from the moves; None where it is not known though borders followed."""
    known = [one for one in parts if one is not None]
    if design == ONE_BATCH:
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


def _whole(pair: Mapping[str, Any]) -> bool:
    return bool(pd.notna(pair["before"]) and pd.notna(pair["after"]))


def _as_fold(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or pd.isna(value) or row.get("fold") is None or pd.isna(row["fold"]):
        return None
    return math.exp(float(value))
