"""Methods in words, from what was really done, and the MIFlowCyt checklist with its gaps named."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.events.transforms import Auto, Identity, scale_in_words
from immunolab.gating.placement.scales import measured_scales
from immunolab.gating.strategy import Strategy
from immunolab.plots.labels import definition_ids
from immunolab.plots.numbers import bracket
from immunolab.report.html_table import Cell, Grid, grid
from immunolab.results.findings.checks import calendar_warnings, tube_checks, tube_warnings
from immunolab.results.findings.gates import GATE_RULES, rule_change
from immunolab.results.findings.words import endpoint_name
from immunolab.results.run import Run
from immunolab.results.sentences import sensitivity_word
from immunolab.schema.flags import Code, shown, split
from immunolab.study.intercurrent import IntercurrentEvent
from immunolab.vocabulary.display_names import display_name
from immunolab.vocabulary.populations import definitions as all_definitions

_CONTROLS = {
    "fmo": "fluorescence-minus-one tubes",
    "unstained": "unstained tubes",
    "internal": "a population of the same tube known to be negative",
    "density": "the density of the parent's events",
    "fixed": "values fixed beforehand",
    "imported": "gates drawn elsewhere and imported",
    "template": "gates drawn on a template tube and carried",
    "others": "the same border in the study's other patients, where a patient's own events show none",
}


def methods_text(run: Run) -> tuple[str, ...]:
    """Return the methods section, one paragraph an item; nothing is said of what was not done."""
    return tuple(
        text
        for text in (
            _design(run),
            estimand_text(run),
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


def warnings_grid(run: Run) -> Grid:
    """Return every warning code of the run with its meaning and where it holds."""
    places: dict[str, list[str]] = {}
    for _, row in run.shifts.iterrows():
        for code in split(row["warnings"]):
            places.setdefault(code, []).append(run.label_of(str(row["endpoint"])).short)
    for finding in run.findings:
        places.setdefault(finding.code, [])
    rows = []
    for code in sorted(places):
        details = [f.message for f in run.findings if f.code == code]
        where = "; ".join(dict.fromkeys(places[code])) or "whole table"
        rows.append(
            (
                Cell(code),
                Cell(Code[code].meaning),
                Cell(where),
                Cell("; ".join(dict.fromkeys(details))[:600]),
            )
        )
    return Grid(("Code", "Meaning", "Endpoints", "Particulars"), tuple(rows), "No warning.")


def definitions_grid(run: Run) -> Grid:
    """Return the definitions that the run's endpoints and populations follow, with their literature."""
    used = {
        word
        for name in ("endpoints", "counts")
        for value in run.table(name)["definition"].unique()
        for word in definition_ids(value)
    }
    rows = []
    for definition in all_definitions():
        if definition.id in used:
            ways = [" ".join(f"{c.marker} {c.level}" for c in way) for way in definition.phenotypes]
            outside = f"not {' or '.join(map(display_name, definition.exclude))}" if definition.exclude else ""
            markers = "; ".join(part for part in (" or ".join(ways), outside) if part)
            checked = {"checked": "checked in a paper", "unchecked": "not yet checked", "judged": "judgement"}
            rows.append(
                (
                    Cell(display_name(definition.subset)),
                    Cell(definition.id),
                    Cell(display_name(definition.parent)),
                    Cell(markers),
                    Cell("; ".join(definition.literature)),
                    Cell(checked[definition.source]),
                    Cell(definition.note),
                )
            )
    known = {definition.id for definition in all_definitions()}
    rows += [
        (Cell(""), Cell(name), Cell(""), Cell("the study's own definition"), Cell(""), Cell(""), Cell(""))
        for name in sorted(used - known)
    ]
    return Grid(
        ("Subset", "Definition", "Of", "Markers", "Literature", "Wording", "Note"),
        tuple(rows),
        "No population follows a published definition.",
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
    yield "1.3", "experiment variables", ", ".join(dict.fromkeys(s.visit for s in run.samples))
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


def registered_grid(run: Run) -> Grid:
    """Return every endpoint the trial registers, and whether this run computed it."""
    shifts, have = run.shifts, set(run.endpoints["endpoint"])
    compared = set(shifts["endpoint"])
    estimated = set(run.table("time_to_event")["endpoint"])
    frame = pd.DataFrame(
        [
            {
                "id": e.id,
                "role": e.role,
                "what": run.label_of(e.id).axis if e.id in have else endpoint_name(e),
                "contrast": " to ".join(e.contrast),
                "direction": e.direction.replace("_", " "),
                "source": e.source.replace("_", " "),
                "state": "compared"
                if e.id in compared
                else "estimated, not tested"
                if e.id in estimated
                else "measured, not compared"
                if e.id in have
                else "not computed",
            }
            for e in run.study.endpoints
        ],
        columns=["id", "role", "what", "contrast", "direction", "source", "state"],
    )
    columns = {
        "id": "Endpoint",
        "role": "Role",
        "what": "What is measured",
        "contrast": "Visits",
        "direction": "Expected",
        "source": "Source",
        "state": "In this run",
    }
    return grid(frame, columns, empty="The study declares no endpoint.")


def gate_rules_grid(run: Run) -> Grid:
    """Return each percentage's change under the run's gates beside the other rules; empty where none was tried."""
    shifts = run.shifts
    rows = []
    for _, row in shifts.iterrows():
        others = [rule_change(row, rule) for rule in GATE_RULES]
        if any(others):
            own = bracket(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"])
            label = Cell(run.label_of(str(row["endpoint"])).axis, "", "label")
            cohort = "" if pd.isna(row["cohort"]) else str(row["cohort"])
            rows.append((Cell(cohort), label, Cell(str(row["role"])), Cell(own), *map(Cell, others)))
    headings = ("Cohort", "Endpoint", "Role", "Gates of the run", *(f"Gates {words}" for words in GATE_RULES.values()))
    return Grid(headings, tuple(rows), "No other gates were tried.")


def _checks(run: Run) -> str:
    """Return how many checks of tubes were made and warn, and how many samples are off the calendar."""
    warned, off = len(tube_warnings(run)), calendar_warnings(run)["sample_id"].nunique()
    return f"{len(tube_checks(run))} checks of tubes, {warned} of them warn; {off} samples off the calendar"
