"""Populations of each sample as ImmPort's template of derived flow data, with HIPC definitions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from immunolab.exports.population_strings import population_strings
from immunolab.results.run import Run
from immunolab.schema.csv_files import cell_text, write_plain_table
from immunolab.schema.flags import withheld

COLUMNS = (
    "Column Name",
    "Expsample ID",
    "Population Name Reported",
    "Gating Definition Reported",
    "Parent Population Reported",
    "Population Statistic (count, percentile, etc)",
    "Population Stat Unit Reported",
    "Workspace File",
    "Comments",
)
"""Headings of ImmPort's template ``FCM_Derived_data``, in order."""


def write_immport(run: Run, folder: Path) -> list[Path]:
    """Write ``FCM_Derived_data.txt`` (tab-separated): percent of parent and events of every population and sample.

    ``Expsample ID`` is the sample_id; ImmPort's own accession has to be put in its place where one was given.

    Parameters
    ----------
    run
        The finished run.
    folder
        Where to.
    """
    return [write_plain_table(immport_rows(run), folder / "FCM_Derived_data.txt", separator="\t")]


def immport_rows(run: Run) -> pd.DataFrame:
    """Return the rows of the template; a value that is withheld is empty, with the reason in the comments.

    The template is of cytometry: single cells, which have no gates to name, are left out.

    Parameters
    ----------
    run
        The finished run.
    """
    markers = population_strings(run)
    outside = {s.sample_id for s in run.study.samples if s.control_of or s.modality == "single_cell"}
    counts = run.counts[(run.counts["population"] != "root") & ~run.counts["sample_id"].isin(outside)]
    rows = []
    for one in counts.itertuples():
        flag = cell_text(one.flag)
        bad = withheld(flag) or pd.isna(one.percent_of_parent)
        reason = "; ".join(part for part in (flag, cell_text(one.reason)) if part)
        for value, unit in ((one.percent_of_parent, "percent of parent"), (one.n_events, "events")):
            rows.append(
                (
                    "",
                    one.sample_id,
                    one.population,
                    markers.get(one.path, "") or one.population,
                    one.parent,
                    "" if bad else f"{value:.10g}",
                    unit,
                    f"gates/{one.sample_id}.xml",
                    f"withheld: {reason or 'no event of the parent'}" if bad else reason,
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))
