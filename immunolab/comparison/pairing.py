"""From one row per sample and endpoint to arrays endpoints x patients x (before, after)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.diagnostics import Finding, check_endpoints, check_scale, name_rows
from immunolab.comparison.plan import Plan, Scale
from immunolab.errors import ComparisonError, InputError, Problem, nearest
from immunolab.intervals import NORMAL_95

Array = NDArray[np.float64]
PHASES = ("baseline", "on_treatment", "follow_up")


@dataclass(frozen=True)
class Paired:
    """Both sides of every patient and endpoint. Arrays are ``(E, P, 2)`` unless said otherwise.

    Attributes
    ----------
    endpoints, units, scales : one an endpoint; patients, cohorts : one a patient, in order of appearance.
    counted, ratio : ``(E,)`` whether counts were used, and whether they are numerator and denominator.
    absolute : ``(E,)`` whether it is an absolute count whose share was counted: its counting error is known.
    level : mean over a side's visits on the endpoint's scale; NaN where there is none.
    value : mean over a side's visits in the endpoint's unit.
    events, parents : sums over a side's visits; NaN without counts.
    n_visits : visits of the side.
    variance : ``(E, P)`` counting variance of the shift; NaN without counts.
    gate_variance : ``(E, P)`` variance of the shift from the gate's own uncertainty; 0 where none is given.
    visits : visit labels of the side, joined by "+".
    batches : ``(E, P, 2, B)`` share of a side's samples in every batch; NaN where a batch is unknown.
    covariates : ``(E, P, 2, C)`` mean of every covariate over a side's visits.
    rows : the long rows behind it, with columns side (0, 1 or -1), patient (its number) and level.
    rows_of : endpoint -> positions of its rows.
    findings : what was odd on the way.
    """

    endpoints: tuple[str, ...]
    units: tuple[str, ...]
    scales: tuple[Scale, ...]
    patients: tuple[str, ...]
    cohorts: NDArray[np.object_]
    counted: NDArray[np.bool_]
    ratio: NDArray[np.bool_]
    absolute: NDArray[np.bool_]
    level: Array
    value: Array
    events: Array
    parents: Array
    n_visits: NDArray[np.int64]
    variance: Array
    gate_variance: Array
    visits: NDArray[np.object_]
    batches: Array
    covariates: Array
    rows: pd.DataFrame = field(repr=False)
    rows_of: Mapping[str, NDArray[np.int64]] = field(repr=False)
    findings: tuple[Finding, ...] = ()

    @property
    def shift(self) -> Array:
        """After minus before on the endpoint's scale, ``(E, P)``; NaN for a patient without both."""
        return self.level[..., 1] - self.level[..., 0]


def pair(endpoints: pd.DataFrame, plan: Plan, where: str = "endpoints") -> Paired:
    """Return patients' two sides from rows of the endpoint table.

    Raises
    ------
    InputError
        Rows that cannot be compared, see `guards.check_endpoints`.
    ComparisonError
        A visit that no row has, or no row at all.
    """
    check_endpoints(endpoints, where)
    rows = _rows(endpoints, plan)
    rows["side"] = _sides(rows, plan)
    findings: list[Finding] = []
    rows = _without_empty_parents(rows, findings)
    cards = _put_on_scales(rows, plan, where, findings)
    return _assemble(rows, cards, plan, findings)


def _rows(endpoints: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    if endpoints.empty:
        raise ComparisonError("there is no row to compare", "endpoints", "are the endpoint and visit names right?")
    missing = [name for name in plan.covariates if name not in endpoints]
    if missing:
        raise ComparisonError(f"covariate not in the table: {', '.join(missing)}", "plan.covariates")
    rows = pd.DataFrame(index=endpoints.index)
    for name in (
        "sample_id",
        "patient_id",
        "cohort",
        "visit",
        "phase",
        "endpoint",
        "population",
        "parent",
        "unit",
        "cycle_state",
    ):
        column = endpoints[name] if name in endpoints else pd.Series("", index=endpoints.index)
        rows[name] = column.astype(object).where(column.notna(), "").astype(str)
    numeric = ("study_day", "value", "n_events", "n_parent", "gate_low", "gate_high", *plan.covariates)
    for name in numeric:
        column = endpoints[name] if name in endpoints else pd.Series(np.nan, index=endpoints.index)
        rows[name] = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    batch = endpoints["batch"] if "batch" in endpoints and not plan.batch else rows["sample_id"].map(plan.batch)
    rows["batch"] = batch.astype(object).where(batch.notna(), "").astype(str)
    return rows


def _sides(rows: pd.DataFrame, plan: Plan) -> NDArray[np.int64]:
    side = np.full(len(rows), -1)
    for number, label in enumerate((plan.before, plan.after)):
        side[_at(rows, label)] = number
    if plan.before == plan.after:
        raise ComparisonError(f"before and after are both '{plan.before}'", "plan", "name two visits")
    return side


def _at(rows: pd.DataFrame, label: str) -> NDArray[np.bool_]:
    hit = (rows["visit"] == label).to_numpy()
    if hit.any():
        return hit
    hit = (rows["phase"] == label).to_numpy()
    if hit.any():
        return hit
    if "," in label:
        return np.logical_or.reduce([_at(rows, part.strip()) for part in label.split(",")])
    there = sorted(set(rows["visit"]) - {""})
    phases = [phase for phase in PHASES if (rows["phase"] == phase).any()]
    hint = f"{nearest(label, [*there, *phases])} visits there: {', '.join(there)}".strip()
    if phases:
        hint += f"; phases: {', '.join(phases)}"
    raise ComparisonError(f"no sample has visit '{label}'", "", hint)


def _without_empty_parents(rows: pd.DataFrame, findings: list[Finding]) -> pd.DataFrame:
    empty = (rows["n_parent"] == 0).to_numpy() & rows["unit"].isin(("%", "percent")).to_numpy()
    for endpoint, group in rows[empty].groupby("endpoint", sort=False):
        findings.append(
            Finding("W_PARENT0", "", str(endpoint), f"no parent event in {name_rows(group.index)}: left out")
        )
    return rows[~empty].copy()


@dataclass(frozen=True)
class _Card:
    unit: str
    scale: Scale
    counted: bool
    ratio: bool
    absolute: bool


def _put_on_scales(rows: pd.DataFrame, plan: Plan, where: str, findings: list[Finding]) -> dict[str, _Card]:
    """Add columns level, inverse (1/N) and gate_variance; return what was decided for every endpoint."""
    columns = {name: rows[name].to_numpy() for name in ("value", "n_events", "n_parent", "gate_low", "gate_high")}
    level, gate = np.full(len(rows), np.nan), np.zeros(len(rows))
    cards: dict[str, _Card] = {}
    problems: list[Problem] = []
    for endpoint, place in rows.groupby("endpoint", sort=False).indices.items():
        value, events, parents = (columns[name][place] for name in ("value", "n_events", "n_parent"))
        unit = str(rows["unit"].iloc[place[0]])
        scale = plan.scales.get(str(endpoint)) or scales.default_scale(unit, value)
        ratio = unit == "ratio"
        measured = np.isfinite(value)
        has_counts = np.isfinite(events) & np.isfinite(parents)
        counted = bool(measured.any() and has_counts[measured].all()) and (ratio or unit in ("%", "percent"))
        if counted and ratio and scale != "log":
            counted = False
        absolute = "/ul" in unit.lower() and scale == "log" and bool(has_counts[measured].all())
        cards[str(endpoint)] = _Card(unit, scale, counted, ratio, absolute)
        if counted:
            usable = np.where(has_counts & measured, 1.0, np.nan)
            level[place] = scales.from_counts(events, parents, scale, ratio=ratio) * usable
        else:
            faults = check_scale(value, rows.index.to_numpy()[place], scale, str(endpoint), where)
            problems += faults
            if faults:
                continue
            level[place], moved = scales.from_values(value, scale)
            if moved:
                text = f"{moved} value(s) on the border of the {scale} scale were moved half way to the nearest other"
                findings.append(Finding("W_ZERO_VALUE", "", str(endpoint), text))
        gate[place] = _gate_variance(columns["gate_low"][place], columns["gate_high"][place], scale)
    if problems:
        raise InputError(problems)
    rows["level"], rows["gate_variance"] = level, gate
    with np.errstate(divide="ignore"):
        rows["inverse"] = 1.0 / columns["n_parent"]
    return cards


def _gate_variance(low: Array, high: Array, scale: Scale) -> Array:
    if not np.isfinite(low).any():
        return np.zeros(low.size)
    both = np.concatenate([low, high])
    ends, _ = scales.from_values(both, scale)
    width = (ends[low.size :] - ends[: low.size]) / (2.0 * NORMAL_95)
    return np.nan_to_num(width) ** 2


def _assemble(rows: pd.DataFrame, cards: dict[str, _Card], plan: Plan, findings: list[Finding]) -> Paired:
    endpoint_codes, endpoint_names = pd.factorize(rows["endpoint"])
    patient_codes, patient_names = pd.factorize(rows["patient_id"])
    n_endpoints, n_patients = len(endpoint_names), len(patient_names)
    shape = (n_endpoints, n_patients, 2)
    level = rows["level"].to_numpy()
    used = (rows["side"].to_numpy() >= 0) & np.isfinite(level)
    place = ((endpoint_codes * n_patients + patient_codes) * 2 + rows["side"].to_numpy())[used]

    def total(values: Array) -> Array:
        summed = np.bincount(place, weights=values, minlength=int(np.prod(shape)))
        return summed.astype(np.float64).reshape(shape)

    n_visits = total(np.ones(place.size)).astype(np.int64)
    there = np.where(n_visits > 0, n_visits, np.nan).astype(float)
    column = {
        name: rows[name].to_numpy()[used] for name in ("value", "n_events", "n_parent", "inverse", "gate_variance")
    }
    cards_in_order = [cards[str(name)] for name in endpoint_names]
    counted = np.array([card.counted for card in cards_in_order])
    mask = np.where(counted, 1.0, np.nan)[:, None, None]
    present = np.where(n_visits > 0, 1.0, np.nan)
    events, parents = total(column["n_events"]) * present, total(column["n_parent"]) * present
    variance = np.full(shape[:2], np.nan)
    inverse = total(column["inverse"]) / there**2
    for e, card in enumerate(cards_in_order):
        if card.counted or card.absolute:
            variance[e] = scales.counting_variance(events[e], parents[e], inverse[e], card.scale, ratio=card.ratio)
    cohorts = rows.drop_duplicates("patient_id").set_index("patient_id")["cohort"].reindex(patient_names)
    means = [total(rows[name].to_numpy()[used]) / there for name in plan.covariates]
    return Paired(
        endpoints=tuple(map(str, endpoint_names)),
        units=tuple(card.unit for card in cards_in_order),
        scales=tuple(card.scale for card in cards_in_order),
        patients=tuple(map(str, patient_names)),
        cohorts=cohorts.to_numpy(dtype=object),
        counted=counted,
        ratio=np.array([card.ratio for card in cards_in_order]),
        absolute=np.array([card.absolute for card in cards_in_order]),
        level=total(level[used]) / there,
        value=total(column["value"]) / there,
        events=events * mask,
        parents=parents * mask,
        n_visits=n_visits,
        variance=variance,
        gate_variance=(total(column["gate_variance"]) / there**2).sum(axis=-1),
        visits=_visit_labels(rows, used, place, shape, plan),
        batches=_batch_shares(rows, used, place, shape),
        covariates=np.stack([np.zeros(shape), *means], axis=-1)[..., 1:],
        rows=rows.assign(patient=patient_codes),
        rows_of={str(name): np.asarray(place) for name, place in rows.groupby("endpoint", sort=False).indices.items()},
        findings=tuple(findings) + _mixed_states(rows, used, plan),
    )


def _visit_labels(
    rows: pd.DataFrame, used: NDArray[np.bool_], place: NDArray[np.int64], shape: tuple[int, int, int], plan: Plan
) -> NDArray[np.object_]:
    labels = np.empty(shape, dtype=object)
    labels[..., 0], labels[..., 1] = plan.before, plan.after
    visits = rows["visit"].to_numpy()[used]
    if set(visits) <= {plan.before, plan.after}:
        return labels
    joined: dict[int, str] = {}
    for index, visit in zip(place.tolist(), visits, strict=True):
        joined[index] = f"{joined[index]}+{visit}" if index in joined else visit
    labels.reshape(-1)[list(joined)] = list(joined.values())
    return labels


def _batch_shares(
    rows: pd.DataFrame, used: NDArray[np.bool_], place: NDArray[np.int64], shape: tuple[int, int, int]
) -> Array:
    batch = rows["batch"].to_numpy()[used]
    codes, unique = pd.factorize(batch)
    names = list(unique)
    if not names or set(names) == {""}:
        return np.zeros((*shape, 0))
    shares = np.zeros((int(np.prod(shape)), len(names)))
    np.add.at(shares, (place, codes), 1.0)
    if "" in names:
        unknown = names.index("")
        shares[shares[:, unknown] > 0] = np.nan
        shares = np.delete(shares, unknown, axis=1)
    with np.errstate(invalid="ignore"):
        return (shares / shares.sum(axis=1, keepdims=True)).reshape(*shape, -1)


def _mixed_states(rows: pd.DataFrame, used: NDArray[np.bool_], plan: Plan) -> tuple[Finding, ...]:
    found = []
    for number, label in enumerate((plan.before, plan.after)):
        states = sorted(set(rows["cycle_state"].to_numpy()[used & (rows["side"].to_numpy() == number)]) - {""})
        if len(states) > 1:
            text = f"samples of '{label}' are of different cycle states: {', '.join(states)}"
            found.append(Finding("W_MIXED_STATES", "", "", text))
    return tuple(found)
