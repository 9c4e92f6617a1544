"""From one row per sample and endpoint to arrays endpoints x patients x (before, after)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.diagnostics import Finding, all_problems, check_endpoints, left_out, name_rows
from immunolab.comparison.endpoint_levels import EndpointLevels, endpoint_levels, without_faults
from immunolab.comparison.estimand import used_rows
from immunolab.comparison.plan import Plan, Scale
from immunolab.comparison.side_rows import SideRows, batch_shares, counting_variance, exposures, unshared_gates
from immunolab.errors import ComparisonError, InputError, Problem, nearest
from immunolab.schema.contrast import JOINED_BY
from immunolab.schema.flags import Code

Array = NDArray[np.float64]

_PHASES = ("baseline", "on_treatment", "follow_up")
_TEXT = ("sample_id", "patient_id", "cohort", "visit", "phase", "endpoint", "population", "parent", "unit", "flag")
_NUMBERS = (
    *("study_day", "days_since_last_dose", "cycle", "value", "n_events", "n_parent"),
    *("count_low", "count_high", "gate_low", "gate_high", "one_event"),
)
_PERCENT = ("%", "percent")


@dataclass(frozen=True)
class Paired:
    """Both sides of every patient and endpoint: E endpoints, P patients. Arrays are ``(E, P, 2)`` unless said.

    Attributes
    ----------
    endpoints, units, scales, populations
        One an endpoint; populations are "" where the rows name none.
    patients, cohorts
        One a patient, in order of appearance.
    counted, ratio
        ``(E,)`` whether counts were used, and whether they are numerator and denominator.
    absolute
        ``(E,)`` whether it is an absolute count whose share was counted: its counting error is known.
    corrected
        ``(E,)`` whether it is a difference of counted shares: its counting error comes as limits.
    level
        Mean over a side's visits on the endpoint's scale; NaN where there is none.
    value
        Mean over a side's visits in the endpoint's unit.
    events, parents
        Sums over a side's visits; NaN without counts.
    exposures
        Events that one cell per microlitre makes, summed over a side's visits; NaN for what is no absolute count.
    n_visits
        Visits of the side.
    variance
        ``(E, P)`` counting variance of the shift; NaN without counts.
    gate_variance
        ``(E, P)`` variance of the shift from what the gates of both sides do not share; 0 where none is given.
    beyond
        -1 where all values of a side are below the level (an assay's limit), 1 above it, 0 where none is, else between.
    unlimited
        Whether a side has a value at an end of the scale without a limit that is known: its patient has no shift.
    visits
        Visit labels of the side, joined by "+".
    batches
        ``(E, P, 2, B)`` share of a side's samples in every batch; NaN where a batch is unknown.
    covariates
        ``(E, P, 2, C)`` mean of every covariate over a side's visits.
    rows
        The long rows behind it, with columns side (0, 1 or -1), patient (its number) and level.
    rows_of
        Endpoint -> positions of its rows.
    findings
        Weaknesses of the rows.
    bridges
        Rows of materials measured again and again, which are no patients.
    unbatched
        Endpoints that no batch touches.
    """

    endpoints: tuple[str, ...]
    units: tuple[str, ...]
    scales: tuple[Scale, ...]
    populations: tuple[str, ...]
    patients: tuple[str, ...]
    cohorts: NDArray[np.object_]
    counted: NDArray[np.bool_]
    ratio: NDArray[np.bool_]
    absolute: NDArray[np.bool_]
    corrected: NDArray[np.bool_]
    level: Array
    value: Array
    events: Array
    parents: Array
    exposures: Array
    n_visits: NDArray[np.int64]
    variance: Array
    gate_variance: Array
    beyond: Array
    unlimited: NDArray[np.bool_]
    visits: NDArray[np.object_]
    batches: Array
    covariates: Array
    rows: pd.DataFrame = field(repr=False)
    rows_of: Mapping[str, NDArray[np.int64]] = field(repr=False)
    findings: tuple[Finding, ...] = ()
    bridges: pd.DataFrame | None = field(default=None, repr=False)
    unbatched: tuple[str, ...] = ()

    @property
    def shift(self) -> Array:
        """After minus before on the endpoint's scale, ``(E, P)``; NaN for a patient without both, or `unlimited`."""
        shift = self.level[..., 1] - self.level[..., 0]
        return np.where(self.unlimited.any(axis=-1), np.nan, shift)


def pair(endpoints: pd.DataFrame, plan: Plan, where: str = "endpoints") -> Paired:
    """Return patients' two sides from rows of the endpoint table.

    Parameters
    ----------
    endpoints
        Rows of `tables.ENDPOINTS`, see `table.compare_endpoints`.
    plan
        What is compared and how.
    where
        Name of the table in messages.

    Raises
    ------
    InputError
        Rows that cannot be compared, see `diagnostics.check_endpoints`.
    ComparisonError
        A visit that no row has, or no row at all.
    """
    endpoints = used_rows(endpoints)
    faults = check_endpoints(endpoints, where)
    rows = _rows(endpoints[~endpoints["endpoint"].isin(faults)] if faults else endpoints, plan, faults)
    of_material = rows["patient_id"].isin(plan.bridges).to_numpy()
    bridges, rows = rows[of_material], rows[~of_material].copy()
    rows["side"] = _sides(rows, plan)
    empty = (rows["n_parent"] == 0).to_numpy() & rows["unit"].isin(_PERCENT).to_numpy()
    findings = [
        Finding(Code.W_PARENT0, "", str(endpoint), f"no parent event in {name_rows(group.index)}: left out")
        for endpoint, group in rows[empty].groupby("endpoint", sort=False)
    ]
    rows = rows[~empty].copy()
    levels, off_scale = endpoint_levels(rows, plan, where)
    faults |= off_scale
    if faults and not levels:
        raise InputError(all_problems(faults))
    rows, levels = without_faults(rows, levels, off_scale)
    columns = {name: np.full(len(rows), np.nan) for name in ("level", "gate_variance", "beyond", "unlimited")}
    for one in levels.values():
        for name, column in columns.items():
            column[one.place] = getattr(one, name)
        findings += one.findings
    findings += left_out(faults)
    with np.errstate(divide="ignore"):
        rows = rows.assign(**columns, inverse=1.0 / rows["n_parent"].to_numpy())
    return replace(_assemble(rows, levels, plan, findings), bridges=bridges, unbatched=plan.unbatched)


def _rows(endpoints: pd.DataFrame, plan: Plan, faults: Mapping[str, list[Problem]]) -> pd.DataFrame:
    if endpoints.empty:
        if faults:
            raise InputError(all_problems(faults))
        raise ComparisonError("there is no row to compare", "endpoints", "are the endpoint and visit names right?")
    missing = [name for name in plan.covariates if name not in endpoints]
    if missing:
        raise ComparisonError(f"covariate not in the table: {', '.join(missing)}", "plan.covariates")
    rows = pd.DataFrame(index=endpoints.index)
    for name in (*_TEXT, "cycle_state", "gate_scope"):
        column = endpoints[name] if name in endpoints else pd.Series("", index=endpoints.index)
        rows[name] = _text(column)
    for name in (*_NUMBERS, *plan.covariates):
        column = endpoints[name] if name in endpoints else pd.Series(np.nan, index=endpoints.index)
        rows[name] = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    batch = endpoints["batch"] if "batch" in endpoints and not plan.batch else rows["sample_id"].map(plan.batch)
    rows["batch"] = _text(batch)
    return rows


def _text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "").astype(str)


def _sides(rows: pd.DataFrame, plan: Plan) -> NDArray[np.int64]:
    if plan.before == plan.after:
        raise ComparisonError(f"before and after are both '{plan.before}'", "plan", "name two visits")
    side = np.full(len(rows), -1)
    for number, label in enumerate((plan.before, plan.after)):
        side[_at(rows, label)] = number
    return side


def _at(rows: pd.DataFrame, label: str) -> NDArray[np.bool_]:
    """Return which rows belong to a visit, a phase, or several of them joined by commas."""
    for column in ("visit", "phase"):
        hit = (rows[column] == label).to_numpy()
        if hit.any():
            return hit
    if "," in label:
        return np.logical_or.reduce([_at(rows, part.strip()) for part in label.split(",")])
    there = sorted(set(rows["visit"]) - {""})
    phases = [phase for phase in _PHASES if (rows["phase"] == phase).any()]
    hint = f"{nearest(label, [*there, *phases])} visits there: {', '.join(there)}".strip()
    if phases:
        hint += f"; phases: {', '.join(phases)}"
    raise ComparisonError(f"no sample has visit '{label}'", "", hint)


def _assemble(rows: pd.DataFrame, levels: Mapping[str, EndpointLevels], plan: Plan, findings: list[Finding]) -> Paired:
    """Return the rows as arrays, endpoints x patients x (before, after); visits of one side are averaged."""
    endpoint_codes, endpoint_names = pd.factorize(rows["endpoint"])
    patient_codes, patient_names = pd.factorize(rows["patient_id"])
    shape = (len(endpoint_names), len(patient_names), 2)
    used = (rows["side"].to_numpy() >= 0) & np.isfinite(rows["level"].to_numpy())
    place = ((endpoint_codes * shape[1] + patient_codes) * 2 + rows["side"].to_numpy())[used]
    sides = SideRows(rows[used], place, shape)
    n_visits = sides.total(np.ones(place.size)).astype(np.int64)
    there = np.where(n_visits > 0, n_visits, np.nan).astype(float)
    of = [levels[str(name)] for name in endpoint_names]
    counted = np.array([one.counted for one in of])
    absolute = np.array([one.absolute for one in of])
    mask = np.where(counted | absolute, 1.0, np.nan)[:, None, None]  # events are kept for counted endpoints only
    events, parents = (
        sides.total(sides.rows[name]) * np.where(n_visits > 0, 1.0, np.nan) for name in ("n_events", "n_parent")
    )
    means = {name: sides.total(sides.rows[name]) / there for name in ("level", "value", *plan.covariates)}
    batches = batch_shares(sides)
    cohorts = rows.drop_duplicates("patient_id").set_index("patient_id")["cohort"].reindex(patient_names)
    return Paired(
        endpoints=tuple(map(str, endpoint_names)),
        units=tuple(one.unit for one in of),
        scales=tuple(one.scale for one in of),
        populations=tuple(
            rows.drop_duplicates("endpoint").set_index("endpoint")["population"].loc[list(endpoint_names)]
        ),
        patients=tuple(map(str, patient_names)),
        cohorts=cohorts.to_numpy(dtype=object),
        counted=counted,
        ratio=np.array([one.ratio for one in of]),
        absolute=absolute,
        corrected=np.array([one.corrected for one in of]),
        level=means["level"],
        value=means["value"],
        events=events * mask,
        parents=parents * mask,
        exposures=exposures(sides) * np.where(absolute, 1.0, np.nan)[:, None, None],
        n_visits=n_visits,
        variance=counting_variance(of, events, parents, sides, there),
        gate_variance=unshared_gates(sides, there, batches),
        beyond=sides.total(sides.rows["beyond"]) / np.maximum(n_visits, 1),
        unlimited=sides.total(sides.rows["unlimited"]) > 0,
        visits=_visit_labels(sides, plan),
        batches=batches,
        covariates=np.stack([np.zeros(shape), *(means[name] for name in plan.covariates)], axis=-1)[..., 1:],
        rows=rows.assign(patient=patient_codes),
        rows_of={name: one.place for name, one in levels.items()},
        findings=(*findings, *_mixed_states(sides.rows, plan)),
    )


def _visit_labels(sides: SideRows, plan: Plan) -> NDArray[np.object_]:
    labels = np.empty(sides.shape, dtype=object)
    labels[..., 0], labels[..., 1] = plan.before, plan.after
    visits = sides.rows["visit"].to_numpy()
    if set(visits) <= {plan.before, plan.after}:
        return labels
    joined: dict[int, str] = {}
    for index, visit in zip(sides.place.tolist(), visits, strict=True):
        joined[index] = f"{joined[index]}{JOINED_BY}{visit}" if index in joined else visit
    labels.reshape(-1)[list(joined)] = list(joined.values())
    return labels


def _mixed_states(used: pd.DataFrame, plan: Plan) -> Iterator[Finding]:
    for number, label in enumerate((plan.before, plan.after)):
        states = sorted(set(used.loc[used["side"] == number, "cycle_state"]) - {""})
        if len(states) > 1:
            text = f"samples of '{label}' are of different cycle states: {', '.join(states)}"
            yield Finding(Code.W_MIXED_STATES, "", "", text)
