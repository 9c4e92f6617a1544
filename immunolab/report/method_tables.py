"""Tables beside the text of the methods: warnings, definitions, endpoints as registered, changes under other gates."""

from __future__ import annotations

import pandas as pd

from immunolab.plots.labels import definition_ids
from immunolab.plots.numbers import bracket
from immunolab.report.html_table import Cell, Grid, grid
from immunolab.results.findings.gates import GATE_RULES, rule_change
from immunolab.results.findings.words import endpoint_name
from immunolab.results.run import Run
from immunolab.schema.csv_files import cell_text
from immunolab.schema.flags import Code, split
from immunolab.vocabulary.display_names import display_name
from immunolab.vocabulary.populations import definitions as all_definitions


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


def registered_grid(run: Run) -> Grid:
    """Return every endpoint the trial registers, and whether this run computed it."""
    shifts, have = run.shifts, set(run.endpoints["endpoint"])
    compared = set(shifts["endpoint"])
    compared |= {e.part_of for e in run.study.endpoints if e.id in compared}
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
            cohort = cell_text(row["cohort"])
            rows.append((Cell(cohort), label, Cell(str(row["role"])), Cell(own), *map(Cell, others)))
    headings = ("Cohort", "Endpoint", "Role", "Gates of the run", *(f"Gates {words}" for words in GATE_RULES.values()))
    return Grid(headings, tuple(rows), "No other gates were tried.")
