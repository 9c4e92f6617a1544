"""One endpoint of several finished runs: what they have in common, and its mean over the studies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.meta_analysis import LEAST_STUDIES, Model, Pooled, pooled
from immunolab.comparison.scales import RATIO_WORDS
from immunolab.errors import InputError, Problem, nearest, unknown_words
from immunolab.intervals import NORMAL_95
from immunolab.plots.numbers import bracket, number, p_text, scale_word
from immunolab.results.cohort_rows import in_cohort
from immunolab.results.run import Run
from immunolab.schema.pooling import MODELS, POOLED, STUDIES

Different = Literal["contrast", "definition"]
DIFFERENT: tuple[Different, ...] = get_args(Different)

_SAME = ("population", "parent", "unit", "estimate_scale")  # of every study, whatever is allowed
_MAY_DIFFER: Mapping[Different, tuple[str, ...]] = {
    "contrast": ("contrast", "cycle_state"),
    "definition": ("definition",),
}
_WORDS = {"estimate_scale": "scale", "cycle_state": "place of the later visit in the cycle"}
_METHODS: Mapping[str, str] = {
    "reml": "random effects, restricted maximum likelihood, Hartung-Knapp interval never narrower than without",
    "paule_mandel": "random effects, Paule-Mandel, Hartung-Knapp interval never narrower than without",
    "common": "one effect in all studies, inverse variance",
}


@dataclass(frozen=True, repr=False)
class PooledRuns:
    """One endpoint over several runs; shows itself as the studies and their mean.

    Attributes
    ----------
    endpoint
        Its id.
    studies, summary
        Rows of `schema.pooling.STUDIES` and `schema.pooling.POOLED`.
    notes
        What a reader must know: codes of patients in several runs, what differs between studies.
    """

    endpoint: str
    studies: pd.DataFrame
    summary: pd.DataFrame
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"{self.endpoint} over {len(self.studies)} studies, {int(self.studies['n_patients'].sum())} patients",
                *map(_study_line, self.studies.to_dict("records")),
                *summary_lines(self.summary.iloc[0]),
                *(f"note: {note}" for note in self.notes),
            ]
        )


def pool_runs(
    runs: Sequence[Run], endpoint: str, *, different: Sequence[Different] = (), out: Path | None = None
) -> PooledRuns:
    """Return one endpoint's mean over runs; each cohort is a study.

    Parameters
    ----------
    runs
        Finished runs.
    endpoint
        Id of an endpoint that all of them compare.
    different
        What may differ between studies: ``contrast`` (visits, place in the dosing cycle) or ``definition``. Population,
        denominator, unit and scale may not.
    out
        Folder that the paths of the runs are written relative to; None keeps them as they are.

    Raises
    ------
    InputError
        Fewer than two studies, a run twice, an endpoint that is missing or not estimated, studies that differ, samples
        in two runs: all at once.
    """
    words = [problem for word in different for problem in unknown_words(different=(word, DIFFERENT))]
    if words:
        raise InputError(words)
    problems = list(_repeated(runs))
    found: list[dict[str, Any]] = []
    for run in runs:
        rows, faults = _studies(run, endpoint, out)
        found += rows
        problems += faults
    problems += _differences(found, different)
    if not problems and len(found) < LEAST_STUDIES:
        problems.append(Problem("", "", f"{len(found)} study: a mean needs two", "name further runs"))
    if problems:
        raise InputError(problems)
    table = pd.DataFrame(_named_apart(found))
    shared, notes = _shared_codes(table)
    results = {model: pooled(table["estimate"], table["se"], model) for model in MODELS}  # type: ignore[arg-type]
    studies = table.drop(columns=["patients"]).assign(weight=results["reml"].weights, shared_patients=shared)
    varying = [word for word in different if _varies(found, _MAY_DIFFER[word])]
    notes += [f"the studies differ in {word}: {_listed(found, _MAY_DIFFER[word])}" for word in varying]
    summary = [_summary(model, one, studies, varying) for model, one in results.items()]
    return PooledRuns(endpoint, STUDIES.frame(studies.to_dict("records")), POOLED.frame(summary), tuple(notes))


def _repeated(runs: Sequence[Run]) -> Iterator[Problem]:
    """Yield runs that are named twice, and pairs of runs that hold the same sample files."""
    folders = [run.folder.resolve() for run in runs]
    for folder in dict.fromkeys(folder for folder in folders if folders.count(folder) > 1):
        yield Problem(str(folder), "", "the run is named twice", "name each run once")
    files = [
        {run.inputs[name] for s in run.samples if (name := run.study.relative(s.file)) in run.inputs} for run in runs
    ]
    for i, own in enumerate(files):
        for j in range(i):
            if own & files[j] and folders[i] != folders[j]:
                text = f"holds {len(own & files[j])} sample file(s) that {runs[j].folder.name} holds too"
                yield Problem(str(runs[i].folder), "", text, "a patient must not be in two studies: pool one of them")


def _studies(run: Run, endpoint: str, out: Path | None) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return a row for each cohort that compared the endpoint, and what is wrong with the run."""
    shifts = run.shifts[run.shifts["endpoint"] == endpoint]
    if shifts.empty:
        hint = (
            nearest(endpoint, run.shifts["endpoint"])
            or f"it compares {', '.join(dict.fromkeys(run.shifts['endpoint']))}"
        )
        return [], [Problem(str(run.folder), "", f"does not compare '{endpoint}'", hint)]
    rows, problems = [], []
    for cohort in run.cohorts:
        for row in shifts[in_cohort(shifts, cohort)].to_dict("records"):
            if pd.isna(row["estimate"]) or pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
                text = f"{endpoint}{f' of {cohort}' if cohort else ''} has no interval: {row['method']}"
                problems.append(Problem(str(run.folder), "", text, "leave the run out"))
            else:
                rows.append(_study(run, cohort, row, out))
    return rows, problems


def _study(run: Run, cohort: str, row: Mapping[Any, Any], out: Path | None) -> dict[str, Any]:
    values = run.endpoints[(run.endpoints["endpoint"] == row["endpoint"]) & in_cohort(run.endpoints, cohort)]
    later = values[values["visit"] == str(row["contrast"]).partition(" - ")[0]]
    pairs = run.pairs[(run.pairs["endpoint"] == row["endpoint"]) & in_cohort(run.pairs, cohort)]
    used = row["n_patients"] if pd.notna(row.get("pairs_estimate")) else row["n_pairs"]
    t = float(stdtrit(row["df"], 1.0 - ALPHA / 2.0)) if pd.notna(row.get("df")) else NORMAL_95
    folder = run.folder.resolve()
    return {
        "study": f"{run.study.name}, {cohort}" if len(run.cohorts) > 1 else run.study.name,
        "run": Path(os.path.relpath(folder, out.resolve())).as_posix() if out else folder.as_posix(),
        "trial": run.study.trial.id if run.study.trial else None,
        "cohort": cohort or None,
        "endpoint": row["endpoint"],
        "population": _joined(values["population"]),
        "parent": _joined(values["parent"]) or None,
        "definition": _joined(values["definition"]) or None,
        "unit": str(row["unit"]),
        "contrast": str(row["contrast"]),
        "cycle_state": _joined(later["cycle_state"]) or None,
        "n_patients": int(used),
        "estimate": float(row["estimate"]),
        "se": float(row["ci_high"] - row["ci_low"]) / (2.0 * t),
        "ci_low": float(row["ci_low"]),
        "ci_high": float(row["ci_high"]),
        "df": row.get("df", np.nan),
        "estimate_scale": str(row["estimate_scale"]),
        "fold": row["fold"],
        "method": str(row["method"]),
        "warnings": row["warnings"] if pd.notna(row["warnings"]) else None,
        "patients": frozenset(map(str, pairs.loc[pairs["shift"].notna(), "patient_id"])),
    }


def _joined(values: pd.Series) -> str:
    return " | ".join(sorted({str(value) for value in values.dropna()} - {""}))


def _differences(found: Sequence[Mapping[str, Any]], different: Sequence[Different]) -> Iterator[Problem]:
    """Yield in what the studies differ that they must not."""
    for column in _SAME:
        if _varies(found, (column,)):
            what = _WORDS.get(column, column)
            yield Problem("", what, f"the studies differ: {_listed(found, (column,))}", "pool those that agree")
    for word, columns in _MAY_DIFFER.items():
        if word not in different and _varies(found, columns):
            hint = f"pool those that agree, or allow it, and it will be said: --different {word}"
            yield Problem("", word, f"the studies differ: {_listed(found, columns)}", hint)


def _varies(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bool:
    return len({tuple(row[column] for column in columns) for row in found}) > 1


def _listed(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return each value with the studies that have it."""
    having: dict[str, list[str]] = {}
    for row in found:
        value = ", ".join(str(row[column]) for column in columns if row[column]) or "none"
        having.setdefault(value, []).append(str(row["study"]))
    return "; ".join(f"{value} in {', '.join(names)}" for value, names in having.items())


def _named_apart(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with names that no two share: the folder is added where studies are called alike."""
    names = [row["study"] for row in found]
    return [
        row | {"study": f"{row['study']} ({Path(row['run']).name})"} if names.count(row["study"]) > 1 else row
        for row in found
    ]


def _shared_codes(table: pd.DataFrame) -> tuple[list[str | None], list[str]]:
    """Return for each study the patient codes that other runs have too, and a note where there are."""
    shared = []
    for row in table.itertuples():
        others = frozenset().union(*(other.patients for other in table.itertuples() if other.run != row.run))
        shared.append(";".join(sorted(row.patients & others)) or None)
    codes = sorted({code for text in shared if text for code in text.split(";")})
    if not codes:
        return shared, []
    return shared, [
        f"{len(codes)} patient code(s) are in several runs ({', '.join(codes[:8])}): no sample file is, but make sure "
        "that these are different people"
    ]


def _summary(model: Model | str, one: Pooled, studies: pd.DataFrame, varying: Sequence[str]) -> dict[str, Any]:
    scale = str(studies["estimate_scale"].iloc[0])
    tau = {
        name: np.sqrt(getattr(one, f"tau2{end}"))
        for name, end in (("tau", ""), ("tau_low", "_low"), ("tau_high", "_high"))
    }
    names = (
        "estimate",
        "se",
        "ci_low",
        "ci_high",
        "p_value",
        "q",
        "q_p_value",
        "i2",
        "predicted_low",
        "predicted_high",
    )
    return {name: getattr(one, name) for name in names} | {
        **tau,
        "model": model,
        "endpoint": studies["endpoint"].iloc[0],
        "n_studies": len(studies),
        "n_patients": int(studies["n_patients"].sum()),
        "df": one.df if np.isfinite(one.df) else np.nan,
        "estimate_scale": scale,
        "fold": float(np.exp(one.estimate)) if scale in RATIO_WORDS else np.nan,
        "hartung_knapp": one.factor,
        "method": _METHODS[model],
        "different": ";".join(varying) or None,
    }


def _study_line(row: Mapping[Any, Any]) -> str:
    shown = bracket(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"])
    return f"  {row['study']}: {shown}, n = {row['n_patients']}, weight {row['weight']:.0f} % ({row['contrast']})"


def summary_lines(row: pd.Series) -> list[str]:
    """Return the mean with its interval, the spread between studies and what a further study would show.

    Parameters
    ----------
    row
        The first row of `schema.pooling.POOLED`.
    """
    scale = row["estimate_scale"]
    mean = bracket(row["estimate"], row["ci_low"], row["ci_high"], scale)
    lines = [f"mean {scale_word(scale)} {mean}, {p_text(row['p_value'])} ({row['method']})"]
    tau = f"between studies: tau {number(row['tau'])} [{number(row['tau_low'])}, {number(row['tau_high'])}] on {scale}"
    lines.append(f"{tau}, I2 {row['i2']:.0f} %")
    if pd.notna(row["predicted_low"]):
        further = bracket(row["estimate"], row["predicted_low"], row["predicted_high"], scale)
        lines.append(
            f"a further study's true {scale_word(scale)}: {further.partition(' ')[2]} (95 % prediction interval)"
        )
    return lines
