"""Methods in words, from what was really done, and the MIFlowCyt checklist with its gaps named."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.events.transforms import Auto, Identity, scale_in_words
from immunolab.gating.placement.scales import measured_scales
from immunolab.gating.strategy import Strategy
from immunolab.report.html_table import Cell, Grid
from immunolab.report.run_courses import cleaning_text
from immunolab.results.findings.checks import calendar_warnings, tube_checks, tube_warnings
from immunolab.results.run import Run
from immunolab.results.sentences import sensitivity_word
from immunolab.schema.flags import shown
from immunolab.study.intercurrent import IntercurrentEvent

_CONTROLS = {
    "fmo": "fluorescence-minus-one tubes",
    "unstained": "unstained tubes",
    "internal": "a population of the same tube known to be negative",
    "density": "the density of the parent's events",
    "fixed": "values fixed beforehand",
    "imported": "gates drawn elsewhere and imported",
    "template": "gates drawn on a template tube and carried",
    "others": "the same border in the study's other patients, where a patient's own events show none",
    "reader": "a reader's judgement, in place of the automatic gate",
}


def methods_text(run: Run) -> tuple[str, ...]:
    """Return the methods section, one paragraph an item; nothing is said of what was not done."""
    return tuple(
        text
        for text in (
            _design(run),
            estimand_text(run),
            cleaning_text(run),
            _gating(run),
            _borders(run),
            _endpoints(run),
            _tests(run),
            _software(run),
        )
        if text
    )


def _design(run: Run) -> str:
    trial = run.study.trial
    patients = len({s.patient_id for s in run.samples})
    text = f"{patients} patients gave {len(run.samples)} samples"
    if trial is None:
        return f"{text}. The study names no trial, so no dosing calendar was applied."
    registry = f" ({trial.registry})" if trial.registry else ""
    real = len(run.study.doses)
    doses = f"recorded dose dates of {real} patients" if real else "the planned calendar; no dose dates were recorded"
    return (
        f"{text} in '{trial.title}'{registry}. Study day 1 is the first dose and there is no day 0. "
        f"Days since the last dose come from {doses}."
    )


def estimand_text(run: Run) -> str:
    """Return what is estimated: whom, under what, and how each intercurrent event is handled, in words."""
    trial = run.study.trial
    if trial is None:
        return ""
    if trial.estimand is None:
        return "Estimand: the trial file declares no intercurrent event; every value was taken as it was measured."
    estimand, table = trial.estimand, run.table("estimand")
    events = "; ".join(_event_in_words(one, table[table["event"] == one.event]) for one in estimand.events)
    note = f" ({estimand.note})" if estimand.note else ""
    return (
        f"Estimand (ICH E9(R1)): the mean change within patients, or the share of responders, of each endpoint in "
        f"{estimand.population}, under {estimand.treatment}{note}. Intercurrent events: {events or 'none declared'}. "
        "Values after the first dose count as after an event from its day on; visits that were missed without one are "
        "missing data, not an intercurrent event."
    )


def _event_in_words(one: IntercurrentEvent, rows: pd.DataFrame) -> str:
    others = "".join(f", {name}: {strategy.replace('_', ' ')}" for name, strategy in one.endpoints.items())
    return f"{one.event.replace('_', ' ')} ({one.rule}), {one.strategy.replace('_', ' ')}{others}{_most(rows)}"


def _most(rows: pd.DataFrame) -> str:
    """Return in how many patients an event was found, in the endpoint with most of them, and what is not known."""
    if rows.empty:
        return ""
    row = rows.sort_values(["n_with_event", "n_left_out"], ascending=False, kind="stable").iloc[0]
    if row["n_not_assessed"] == row["n_patients"]:
        return ": not assessed, the study's files do not say"
    unknown = f", {row['n_not_assessed']} not assessed" if row["n_not_assessed"] else ""
    return f": {row['n_with_event']} of {row['n_patients']} patients by {row['visit']}{unknown}"


def _gating(run: Run) -> str:
    parts = []
    for panel, strategy in run.strategies.items():
        where = f"panel '{panel}': " if panel else ""
        scales = "; ".join(transforms_of(strategy)) or "placed by data on the scales of the strategy file"
        parts.append(f"{where}strategy '{strategy.name}' with {len(strategy.populations)} populations, axes: {scales}")
    if not parts:
        return ""
    return (
        "Events were compensated with the matrix of each file unless the strategy says otherwise, and gated by "
        f"{'; '.join(parts)}. Percentages are 100 times events over events of the named parent; medians are of the "
        "compensated linear signal."
    )


def transforms_of(strategy: Strategy) -> list[str]:
    """Return the display scales a strategy's gates use, in words."""
    found: dict[str, None] = {}
    for population in strategy.populations:
        for dimension in getattr(population.gate, "dimensions", ()):
            if not isinstance(dimension.transform, Identity):
                found.setdefault(scale_in_words(dimension.transform), None)
    settings = strategy.settings.get("transform")
    if settings and not found:
        named = {**{kind: settings[kind] for kind in ("default", "scatter") if kind in settings}, **settings["markers"]}
        found |= {
            f"{scale_in_words(scale)} ({what})": None for what, scale in named.items() if not isinstance(scale, Auto)
        }
        found |= _chosen_by_data(strategy)
    return list(found)


def _chosen_by_data(strategy: Strategy) -> dict[str, None]:
    """Return the scales that data chose, each with its channels and what it rests on; the words are the keys."""
    channels: dict[tuple[str, str], list[str]] = {}
    for scale in measured_scales(strategy):
        channels.setdefault((scale_in_words(scale.transform), scale.reason), []).append(scale.name)
    return {f"{words} for {', '.join(names)} ({reason})": None for (words, reason), names in channels.items()}


def _borders(run: Run) -> str:
    thresholds = run.thresholds
    if thresholds.empty:
        return ""
    groups = (
        thresholds.groupby(["method", "control", "scope"], sort=True).size().sort_values(ascending=False, kind="stable")
    )
    parts = [
        f"{n} by {method} from {_CONTROLS[str(control)]}, one for each {scope}"
        for method, control, scope, n in groups.reset_index().itertuples(index=False)
    ]
    doubtful = int(thresholds["flag"].map(lambda words: bool(shown(words))).sum())
    return (
        f"Borders: {'; '.join(parts)}. {doubtful} of {len(thresholds)} are doubtful or missing (table of thresholds)."
        f"{_own_code(run)}"
    )


def _own_code(run: Run) -> str:
    module = run.study.methods_module
    if module is None:
        return ""
    name = run.study.relative(module)
    return f" Code of the laboratory was run for methods of its own: {name} (sha256 {run.inputs[name]})."


def _endpoints(run: Run) -> str:
    count = {role: sum(e.role == role for e in run.study.endpoints) for role in ("primary", "secondary", "exploratory")}
    shares = ", ".join(f"{n} {role}" for role, n in count.items())
    if not run.study.endpoints:
        return ""
    return (
        f"{len(run.study.endpoints)} endpoints were declared ({shares}). Families are tested and shown apart; the "
        "patient is the unit, n counts patients with both visits."
    )


def _noise_sources(noise: pd.DataFrame) -> str:
    """Return where each part of the noise is from, what several endpoints share said once."""
    by_part: dict[str, dict[str, None]] = {}
    for part, source in zip(noise["part"], noise["source"], strict=True):
        by_part.setdefault(str(part), {}).update(dict.fromkeys(str(source).split("; ")))
    return "; ".join(f"{part}, {'; '.join(pieces)}" for part, pieces in by_part.items())


def _tests(run: Run) -> str:
    shifts = run.shifts
    if shifts.empty:
        return "No comparison of visits was made."
    methods = "; ".join(dict.fromkeys(map(str, shifts["method"])))
    adjustments = "; ".join(dict.fromkeys(map(str, shifts["adjustment"])))
    contrasts = "; ".join(dict.fromkeys(map(str, shifts["contrast"])))
    sources = _noise_sources(run.table("noise"))
    assay = f" Noise that each patient's own change is set against: {sources}." if sources else ""
    return (
        f"Contrasts: {contrasts}. Tests, all two-sided: {methods}.{_beside(shifts)} "
        f"Intervals are 95 %. Multiplicity: {adjustments}.{assay} Seed of every random draw: {run.seed}."
    )


def _beside(shifts: pd.DataFrame) -> str:
    """Return which tests are shown beside the main ones; empty where none is."""
    tested = shifts[shifts["sensitivity_p_value"].notna()]
    words = dict.fromkeys(sensitivity_word(row) for _, row in tested.iterrows())
    return f" Beside, for sensitivity: {'; '.join(words)}." if words else ""


def _software(run: Run) -> str:
    names = ("immunolab", "numpy", "scipy", "pandas", "statsmodels", "matplotlib")
    return (
        f"Software: {', '.join(f'{name} {run.versions[name]}' for name in names)}; all versions are in manifest.json."
    )


def miflowcyt(run: Run) -> Grid:
    """Return the MIFlowCyt 1.0 checklist (Lee 2008, Cytometry A 73A:926); what is missing says so in red."""
    rows = []
    for item, title, text in _miflowcyt_items(run):
        rows.append((Cell(item), Cell(title), Cell(text) if text else Cell("not provided", "", "alarm")))
    return Grid(("Item", "Asks for", "Answer"), tuple(rows))


def _miflowcyt_items(run: Run) -> Iterator[tuple[str, str, str]]:
    trial = run.study.trial
    borders = run.thresholds
    scales = "; ".join(dict.fromkeys(scale for s in run.strategies.values() for scale in transforms_of(s)))
    gates = "; ".join(f"{s.name}: {len(s.populations)} populations" for s in run.strategies.values())
    yield "1.1", "purpose of the experiment", trial.title if trial else ""
    yield "1.2", "keywords", trial.condition or "" if trial else ""
    yield "1.3", "experiment variables", ", ".join(run.sampled_visits)
    yield "1.4", "organisation and contact", ""
    yield "1.5", "date or period of the experiment", ""
    yield (
        "1.6",
        "quality control measures",
        _checks(run) if len(run.quality) else "",
    )
    yield "2.1", "specimen: source, treatment, storage", ""
    yield "2.2", "patients: age, sex, treatment", ""
    yield "2.4", "fluorescence reagents: analyte, clone, dye, maker", ""
    yield "3.2", "instrument maker and model", ""
    yield "3.3", "instrument configuration and settings", ""
    yield "4.1", "list-mode data files", f"{len(run.samples)} files with sha256 in manifest.json" if run.inputs else ""
    yield "4.2", "compensation", "matrix of each file unless the strategy says otherwise" if run.strategies else ""
    yield "4.3", "transformation", scales
    yield (
        "4.4",
        "gating: percentages and boundaries",
        f"{gates}; counts.csv, thresholds.csv ({len(borders)} borders), gates/ as Gating-ML" if gates else "",
    )


def _checks(run: Run) -> str:
    """Return how many checks of tubes were made and warn, and how many samples are off the calendar."""
    warned, off = len(tube_warnings(run)), calendar_warnings(run)["sample_id"].nunique()
    return f"{len(tube_checks(run))} checks of tubes, {warned} of them warn; {off} samples off the calendar"
