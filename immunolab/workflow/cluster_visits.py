"""Clusters of files compared between two visits of a sample sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from immunolab.comparison.cluster_abundance import cluster_abundance
from immunolab.errors import InputError, Problem
from immunolab.schema.cells import ABUNDANCE
from immunolab.study.spreadsheet import read_text_table

_COLUMNS = "columns: patient_id, visit, and file or sample_id; cohort and batch where there are"
_NEEDED = ("patient_id", "visit")
_CALLED = 0.05  # q below which a cluster is listed first in words


def sheet_of(path: Path, files: Sequence[Path], before: str, after: str) -> pd.DataFrame:
    """Return sample_id (stem of the file), patient_id, visit, cohort and batch of the files that are clustered.

    Parameters
    ----------
    path
        CSV (comma, semicolon or tab) or XLSX; its rows of other files are passed over.
    files
        Files that are clustered.
    before, after
        Visits that will be compared.

    Raises
    ------
    InputError
        Missing columns, files or visits, no patient with both: all at once, before anything is clustered.
    """
    sheet = read_text_table(path)
    table = pd.DataFrame({name: [row[name] for row in sheet.rows] for name in sheet.columns})
    lacking = [name for name in _NEEDED if name not in table]
    lacking += ["file"] if "file" not in table and "sample_id" not in table else []
    if lacking:
        hint = f"the sheet has {', '.join(sheet.columns)}; {_COLUMNS}"
        raise InputError([Problem(str(path), f"column {name}", "the column is missing", hint) for name in lacking])
    named = (
        table["file"].map(lambda text: Path(text.replace("\\", "/")).stem) if "file" in table else table["sample_id"]
    )
    further = [name for name in ("cohort", "batch") if name in table]
    samples = table[[*_NEEDED, *further]].assign(sample_id=named)
    stems = [file.stem for file in files]
    nothing = pd.DataFrame({"sample_id": stems, "cluster": 1, "label": "", "n_events": 0, "n_parent": 0})
    try:
        cluster_abundance(nothing, samples, before=before, after=after)
    except InputError as error:
        raise InputError([Problem(str(path), p.place, p.message, p.hint) for p in error.problems]) from None
    return samples[samples["sample_id"].isin(stems)]


def compare_clusters(sizes: pd.DataFrame, samples: pd.DataFrame, out: Path, before: str, after: str) -> pd.DataFrame:
    """Write abundance.csv and a figure for each cohort, and return the table.

    Parameters
    ----------
    sizes
        Rows of `schema.cells.SIZES`.
    samples
        As `sheet_of` gives them.
    out
        Folder of the clusters.
    before, after
        Visits.
    """
    from immunolab.plots.clusters import abundance_height, abundance_plot
    from immunolab.plots.figure_files import save
    from immunolab.plots.style import WIDTH, figure

    found = ABUNDANCE.write(
        cluster_abundance(sizes, samples, before=before, after=after), out / f"{ABUNDANCE.name}.csv"
    )
    for cohort, rows in found.groupby(found["cohort"].fillna(""), sort=False):
        fig = figure(WIDTH, abundance_height(rows))
        abundance_plot(rows, ax=fig.add_subplot())
        name = "_".join(filter(None, (ABUNDANCE.name, str(cohort))))
        for suffix in (".png", ".pdf"):
            save(fig, out / "figures" / f"{name}{suffix}")
    return found


def abundance_lines(found: pd.DataFrame) -> Iterator[str]:
    """Yield the clusters that changed, for the terminal.

    Parameters
    ----------
    found
        Rows of `schema.cells.ABUNDANCE`.
    """
    for cohort, rows in found.groupby(found["cohort"].fillna(""), sort=False):
        called = rows[rows["q_value"] < _CALLED].sort_values("q_value")
        n = int(rows["p_value"].notna().sum())
        first, where = rows.iloc[0], f"{cohort}: " if cohort else ""
        yield f"{where}{len(called)} of {n} clusters tested changed, {first['contrast']}, {first['n_pairs']} pairs"
        for row in called.to_dict("records"):
            fold = f"{row['fold']:.2g} times" if pd.notna(row["fold"]) else "no event at one visit"
            yield f"  {row['cluster']:>3}  {row['label']:<14} {fold}, q {row['q_value']:.2g}"
        warned = sorted({word for text in rows["warnings"].dropna() for word in text.split(";")})
        if warned:
            yield f"  warnings: {', '.join(warned)} (docs/flags.md)"
