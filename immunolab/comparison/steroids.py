"""A cohort's shift beside what a drug of its own does: adjusted for the change of its dose, and without rescue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from immunolab.comparison import scales
from immunolab.comparison.estimand import with_intercurrent
from immunolab.comparison.plan import Compared
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import ComparisonError, InputError
from immunolab.schema.courses import DOSE_SENSITIVITY
from immunolab.schema.flags import Code
from immunolab.study.endpoints import Endpoint
from immunolab.study.intercurrent import Rise
from immunolab.study.sheet import Study

_KEYS = ["patient_id", "visit"]


def dose_sensitivity(
    rows: pd.DataFrame, doses: pd.DataFrame, happened: pd.DataFrame, study: Study, compared: Sequence[Compared]
) -> pd.DataFrame:
    """Return rows of `DOSE_SENSITIVITY`: each shift given no change of dose, and without values under rescue.

    The estimate adjusted for the change of dose is the shift of a patient whose dose did not change. The dose is what a
    physician makes of the patient, so neither analysis is nearer to the drug's effect than the main one.

    Parameters
    ----------
    rows
        Rows of `tables.ENDPOINTS`, as they were compared.
    doses
        Rows of `tables.CONTEXT`; those of the trial's covariates are taken, and of endpoints that measure one.
    happened
        Rows of `INTERCURRENT_EVENTS`.
    study
        Its trial names the covariates and the rise of one that is a rescue.
    compared
        The comparisons that were made.
    """
    found: list[dict[str, object]] = []
    declared = {e.id: e for e in study.endpoints}
    for name in study.trial.covariates if study.trial else ():
        known = pd.concat([rows, doses], ignore_index=True)
        known = known[(known["population"] == name) & known["value"].notna()].drop_duplicates(_KEYS)
        if known.groupby("patient_id")["value"].nunique().max() in (1, np.nan):
            continue  # a constant such as age adjusts no change
        for one in compared:
            own = _of_days(rows, one, name, declared)
            found += _adjusted(own, known, name, one)
            found += _without_rescue(own, happened, name, one, study)
    return DOSE_SENSITIVITY.frame(found)


def _of_days(rows: pd.DataFrame, one: Compared, name: str, declared: Mapping[str, Endpoint]) -> pd.DataFrame:
    """Return the rows of endpoints of a day that are not the dose itself."""
    names = [e for e in one.endpoints if e not in declared or declared[e].of_one_day]
    return rows[rows["endpoint"].isin(names) & (rows["population"] != name)]


def _adjusted(own: pd.DataFrame, known: pd.DataFrame, name: str, one: Compared) -> Iterator[dict[str, object]]:
    dosed = own.merge(known[[*_KEYS, "value"]].rename(columns={"value": name}), on=_KEYS)
    again = _compared(dosed, replace(one, plan=replace(one.plan, covariates=(name,))))
    if again is None:
        return
    change = _change(known, again.pairs)
    for row in again.shifts.to_dict("records"):
        taken = "covariates" in str(row["method"])
        said = [f.message for f in again.warnings if f.code == Code.W_COVARIATE and f.endpoint == row["endpoint"]]
        pairs = again.pairs[(again.pairs["endpoint"] == row["endpoint"]) & again.pairs["shift"].notna()]
        moved = int((change.reindex(pairs["patient_id"]).abs() > 0).sum())
        why = "; ".join(said) or ("the dose changed in no patient" if not moved else "not estimable beside the dose")
        words = (
            str(row["method"]) if one.plan.batch else str(row["method"]).replace("batch or covariates", "covariates")
        )
        method = words.replace("covariates", f"the change of {name}")
        result = row | {"method": method} if taken else _nothing(row, f"not adjusted: {why}")
        yield _row(result, name, "adjusted for its change", moved)


def _without_rescue(
    own: pd.DataFrame, happened: pd.DataFrame, name: str, one: Compared, study: Study
) -> Iterator[dict[str, object]]:
    """Yield the shift without values from a rescue on, where the main analysis takes them and a patient had one."""
    trial = study.trial
    estimand = trial.estimand if trial else None
    rescues = [e for e in estimand.events if isinstance(e, Rise) and e.variable == name] if estimand else []
    if trial is None or estimand is None or not rescues:
        return
    events = [replace(e, strategy="hypothetical", endpoints={}) if e in rescues else e for e in estimand.events]
    other = replace(study, trial=replace(trial, estimand=replace(estimand, events=tuple(events))))
    own, rows = (with_intercurrent(own, happened, s, study.endpoints) for s in (study, other))
    again = _compared(rows, one) if len(rows) else None
    if again is None:
        return
    was, now = (table["compared_as"].notna() & table["value"].notna() for table in (own, rows))
    lost = own[was.to_numpy() & ~now.to_numpy()]
    for row in again.shifts.to_dict("records"):
        of_cohort = lost["cohort"].fillna("") == ("" if pd.isna(row["cohort"]) else row["cohort"])
        patients = lost.loc[of_cohort & (lost["endpoint"] == row["endpoint"]), "patient_id"].nunique()
        if patients:
            yield _row(row, name, "without values under rescue", patients)


def _compared(rows: pd.DataFrame, one: Compared) -> Comparison | None:
    try:
        return compare_endpoints(rows, one.plan) if len(rows) else None
    except (ComparisonError, InputError):
        return None  # no pair is left, or the rows are those that the main comparison refused: no row beside it


def _change(known: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Return each patient's dose at the later visit less that at the earlier one."""
    dose = known.set_index(_KEYS)["value"]
    ends = pairs.drop_duplicates("patient_id").set_index("patient_id")
    before, after = (
        dose.reindex(pd.MultiIndex.from_arrays([ends.index, ends[side]])).to_numpy(dtype=float, na_value=np.nan)
        for side in ("visit_before", "visit_after")
    )
    return pd.Series(after - before, index=ends.index)


def _nothing(row: Mapping[str, object], why: str) -> dict[str, object]:
    empty = dict.fromkeys(("estimate", "fold", "ci_low", "ci_high", "p_value"), np.nan)
    return {**row, **empty, "method": why}


def _row(row: Mapping[str, object], name: str, analysis: str, patients: int) -> dict[str, object]:
    own = {column: row[column] for column in DOSE_SENSITIVITY.names if column in row}
    return own | {"covariate": name, "analysis": analysis, "n_concerned": patients}


def dose_sentences(table: pd.DataFrame) -> Iterator[str]:
    """Yield each sensitivity analysis of one endpoint in words, without numbers of its own: heading and row.

    Parameters
    ----------
    table
        Rows of `DOSE_SENSITIVITY` of one cohort and endpoint.
    """
    for row in table.to_dict("records"):
        what = f"{row['covariate']} {row['analysis'].removeprefix('adjusted for its ')}"
        text = f"adjusted for the change of {row['covariate']}" if row["analysis"].startswith("adjusted") else what
        if pd.isna(row["estimate"]):
            why = str(row["method"]).removeprefix("not adjusted: ")
            yield f"not {text} ({why})" if text.startswith("adjusted") else f"{text}: {why}"
            continue
        scale = str(row["estimate_scale"])
        size, low, high = (_shown(row[c], scale) for c in ("estimate", "ci_low", "ci_high"))
        word = scales.RATIO_WORDS.get(scale, "difference")  # type: ignore[call-overload]
        yield f"{text} (n = {row['n_pairs']} pairs, {row['n_concerned']} concerned): {word} {size} [{low}, {high}]"


def _shown(value: object, scale: str) -> str:
    number = float(value)  # type: ignore[arg-type]
    return f"{np.exp(number) if scale in ('log_odds', 'log') else number:.3g}".replace("-", "\N{MINUS SIGN}")
