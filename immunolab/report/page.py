"""report.html: one page that holds everything a reader without the program needs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from immunolab.comparison.arms import LEAST_RESPONDERS
from immunolab.plots.numbers import back, scale_word
from immunolab.report import disposition as flow
from immunolab.report import methods
from immunolab.report.contact import Apply, Sheet, contact_sheets
from immunolab.report.figure import Written, write_figure
from immunolab.report.figures import figures_of
from immunolab.report.html_table import Grid, grid
from immunolab.report.key_findings import cautions, key_findings
from immunolab.report.manifest import write_manifest
from immunolab.report.patients import components_grid, patient_grid, responders_grid
from immunolab.report.review import review_grid
from immunolab.results.run import REPORT, Run
from immunolab.schema.flags import Code, shown

_OTHERS = {  # tables beyond the declared ones, as the comparison names them
    "estimand": "Estimand: intercurrent events before each later value, and what became of that value",
    "intercurrent_events": "Intercurrent events, patient by patient",
    "dose_sensitivity": "Beside concomitant drugs: the change of an unchanged dose, and without values under rescue",
    "regression_to_mean": "Regression to the mean: what selected patients would do without treatment",
    "cycles": "Repeated cycles: peaks, troughs and their trend from cycle to cycle, exploratory",
    "slopes": "Slopes of two periods by a mixed model over all patients, beside the registered comparison",
    "arms": "Each active arm against the control arm",
    "log_ratios": "Shares of one parent against their median sibling: what remains when one share cannot push another",
    "shifts_by_response": "Change by clinical response: descriptive, response is known only afterwards",
    "correlations": "Change of cells against change of the clinic: exploratory",
    "time_to_event": "Time to event: Kaplan-Meier, described without a test",
    "survival": "Time to event, day by day",
    "response_tests": "Tests of the registered responses",
    "event_counts": "Events that scores find, of those who could have them",
    "joint_rank": "Slopes with deaths ranked beyond any decline: sensitivity, exploratory, leaning towards the drug",
    "adverse_events": "Adverse events by phase; those before the first dose apart",
    "visits": "Every visit, not only those compared",
    "tipping": "Missing visits: how unlike the others those patients must be to undo a result",
    "noise": "Noise that the calls of patients depend on",
    "power": "What the next cohort could see, from this study's own spread",
    "power_in_family": "What the next cohort could find after adjustment over the family",
}
_SMALL_GROUP = f"fewer than {LEAST_RESPONDERS} in a group"
_NOTES = {  # what the columns hold, where their names do not say it
    "log_ratios": "Estimate: cohort's change of the log of a share over its median sibling; 0 is no change.",
    "response_tests": (
        "Missing as non response: of all patients enrolled, a missing response is none; left out: of those with a "
        "value. No p is adjusted for the other tests here."
    ),
    "arms": (
        "Estimate: change in the active arm less change in the control arm, which is after the minus sign. Main: the "
        "test that role, q and adjustment are of; others are shown beside it. A difference is the drug's only where "
        "chance sorted the patients into arms."
    ),
    "shifts_by_response": "n: patients of both groups together.",
    "correlations": (
        "rho: Spearman's, of the changes of n patients; partial rho: the same with both values before treatment held "
        "fixed. No p is adjusted for the other correlations here."
    ),
    "adverse_events": (
        "Percent: of all patients of the cohort; limits: Clopper-Pearson, 95 %. Grade 1 to 5: patients by their worst "
        "grade. Patient years: time followed in the phase."
    ),
    "tipping": (
        "Tipping sd: how far, in standard deviations of the shifts, the mean of the missing patients must be from what "
        "the method takes it for before the 95 % interval includes no change; 0 where it does already, empty where "
        "nothing within 20 does. Tipping shift: their mean shift then, on the scale named."
    ),
    "noise": "s w: standard deviation of one measurement of the same blood (assay), or of the same person on another "
    "day, on the scale named; a CV is on the log. Assumed values were not measured in this study: calls hold as far as "
    "they do.",
    "power_in_family": (
        "By simulation: every endpoint of a family has its effect at once, p is adjusted as in this study. Power at "
        "the observed spread (sd of the shifts of n pairs), low and high at its 80 % limits, assurance as the mean "
        "over the spreads that fit. Patients for 80: pairs needed for a power, or an assurance, of 0.8."
    ),
    "power": (
        "Fold: a true change of this size. Power low: with the upper 80 % limit of the spread (sd, of the shifts of n "
        "pairs). Patients for 80: pairs needed for a power of 0.8; alpha 0.05, one test."
    ),
}
_SHIFT_COLUMNS = {
    "role": "Role",
    "label": "Endpoint",
    "contrast": "Contrast",
    "n_pairs": "n pairs",
    "median_before": "Median before",
    "median_after": "Median after",
    "kind": "Change as",
    "change": "Change",
    "change_low": "95 % CI low",
    "change_high": "95 % CI high",
    "p_value": "p",
    "q_value": "q",
    "family": "Family of q",
    "sensitivity_p_value": "p sensitivity",
    "method": "Method",
    "adjustment": "Adjustment",
    "equivalence": "Negative control",
    "warnings": "Warnings",
    "estimand": "Intercurrent events",
}


def write_report(run: Run, *, apply: Apply = map) -> Path:
    """Write ``report.html``, ``figures/`` and ``manifest.json`` into a run's folder and return the page's path.

    Figures of an earlier report in the folder are replaced. The gating figure of every sample whose
    folder holds gate views is drawn, unless it is up to date.

    Parameters
    ----------
    run
        The finished run; its folder holds ``tables/`` and ``samples/``.
    apply
        Maps a function over figures, in order, perhaps in several processes.
    """
    folder = run.folder / "figures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = list(figures_of(run))
    pictures = list(apply(partial(write_figure, folder=folder), made))
    sheets = contact_sheets(run, apply)
    page = run.folder / REPORT
    page.write_text(render(run, pictures, sheets), encoding="utf-8")
    write_manifest(run)
    return page


def render(run: Run, pictures: Sequence[Written], sheets: Sequence[Sheet]) -> str:
    """Return the page as HTML text; every text from outside is escaped."""
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("immunolab.report").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(**_context(run, pictures, sheets))


def _context(run: Run, pictures: Sequence[Written], sheets: Sequence[Sheet]) -> dict[str, Any]:
    trial = run.study.trial
    return {
        "study": run.study.name,
        "trial": trial,
        "version": run.versions["immunolab"],
        "cautions": cautions(run),
        "findings": key_findings(run),
        "notes": run.notes,
        "cohorts": [_cohort(run, cohort, [p for p in pictures if p.cohort == cohort]) for cohort in run.cohorts],
        "further": [p for p in pictures if p.section == "quality"],
        "sheets": sheets,
        "sample_flow": flow.sample_flow(run),
        "visit_flow": flow.visit_flow(run),
        "unpaired": flow.unpaired(run),
        "deviations": flow.deviations(run),
        "quality": flow.quality(run),
        "failures": flow.failures(run),
        "review": review_grid(run),
        "thresholds": _thresholds(run),
        "gate_rules": methods.gate_rules_grid(run),
        "responders": responders_grid(run),
        "components": components_grid(run),
        "others": list(_others(run)),
        "registered": methods.registered_grid(run),
        "warnings": methods.warnings_grid(run),
        "definitions": methods.definitions_grid(run),
        "methods": methods.methods_text(run),
        "miflowcyt": methods.miflowcyt(run),
    }


def _cohort(run: Run, cohort: str, pictures: list[Written]) -> dict[str, Any]:
    return {
        "name": cohort,
        "shifts": shift_grid(run, cohort),
        "overview": [p for p in pictures if p.section == "cohort"],
        "families": [
            {"role": role, "figures": [p for p in pictures if p.section == role]}
            for role in ("primary", "secondary", "exploratory")
        ],
        "clinic": [p for p in pictures if p.section == "clinic"],
        "pictures": [p for p in pictures if p.section == "patients"],
        "pages": [p for p in pictures if p.section == "one_pagers"],
        "patients": list(_patients(run, cohort)),
    }


def _others(run: Run) -> Iterator[dict[str, Any]]:
    for name, title in _OTHERS.items():
        table = run.table(name)
        if len(table):
            for column in {"endpoint", "clinical_endpoint"} & set(table.columns):
                table = table.assign(**{column: [run.label_of(str(e)).short for e in table[column]]})
            if "codes" in table:
                table = table.assign(codes=table["codes"].replace({Code.E_N_MIN: _SMALL_GROUP}))
            yield {
                "title": title,
                "note": _NOTES.get(name, ""),
                "grid": grid(table, {c: str(c).replace("_", " ") for c in table.columns}),
            }


def _patients(run: Run, cohort: str) -> Iterator[dict[str, Any]]:
    for _, row in run.shifts_of(cohort).iterrows():
        endpoint = str(row["endpoint"])
        yield {
            "title": run.label_of(endpoint).axis,
            "role": row["role"],
            "open": row["role"] == "primary",
            "grid": patient_grid(run, cohort, endpoint),
        }


def shift_grid(run: Run, cohort: str) -> Grid:
    """Return the cohort's table of shifts, primary endpoints first; odds ratios and folds are turned back from logs."""
    frame = run.shifts_of(cohort)
    order = frame["role"].map({"primary": 0, "secondary": 1, "exploratory": 2})
    frame = frame.assign(order=order).sort_values("order", kind="stable")
    frame["label"] = [run.label_of(str(name)).axis for name in frame["endpoint"]]
    named = zip(map(str, frame["endpoint"]), frame["contrast"], strict=True)
    frame["contrast"] = [str(run.contrast_of(name)) if run.slopes_of(name) else text for name, text in named]
    frame["kind"] = [scale_word(str(scale)) for scale in frame["estimate_scale"]]
    for column, source in (("change", "estimate"), ("change_low", "ci_low"), ("change_high", "ci_high")):
        frame[column] = [back(v, str(s)) for v, s in zip(frame[source], frame["estimate_scale"], strict=True)]
    for name in ("estimand", "equivalence"):
        if name in frame:
            frame[name] = frame[name].str.replace("_", " ")
    columns = {name: head for name, head in _SHIFT_COLUMNS.items() if name in frame}
    return grid(frame, columns, empty="No two visits could be compared.", alarms=("warnings",))


def _thresholds(run: Run) -> Grid:
    """Return the borders summed up over samples: range in instrument units, method, control, scope, flags."""
    frame = run.thresholds
    if frame.empty:
        return Grid(("Population", "Marker"), (), "No border was placed or imported.")
    keys = ["population", "marker", "channel", "method", "control", "scope"]
    groups = frame.fillna({"marker": ""}).groupby(keys, sort=False)
    table = groups["threshold_raw"].agg(["size", "min", "median", "max"]).reset_index()
    table["flags"] = groups["flag"].agg(_tallied).to_numpy()
    columns = {
        "population": "Population",
        "marker": "Marker",
        "channel": "Channel",
        "size": "Samples",
        "min": "Lowest",
        "median": "Median",
        "max": "Highest",
        "method": "Method",
        "control": "Control",
        "scope": "One for each",
        "flags": "Doubtful in",
    }
    return grid(table, columns, alarms=("flags",))


def _tallied(flags: Iterable[object]) -> str:
    """Return the words that are more than notes, each with the number of samples that carry it."""
    tally = Counter(word for field in flags for word in shown(field))
    return ", ".join(f"{word} {n}" for word, n in tally.most_common())
