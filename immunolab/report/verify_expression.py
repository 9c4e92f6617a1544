"""Changes of genes computed again from the summed counts as written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from immunolab.cells.compare import counts_of_table
from immunolab.cells.study_tables import compared_visits
from immunolab.comparison.expression import expression_change
from immunolab.errors import Problem
from immunolab.report.table_diff import CHANGED, differences, file_in, file_of, read_written
from immunolab.results.compared_genes import compared_subsets
from immunolab.results.run import Run
from immunolab.schema.cells import EXPRESSION, PSEUDOBULK
from immunolab.schema.table import Table

_NUMBERS = (
    *("base_mean", "log2_fold", "log2_se", "p_value", "q_value", "n_pairs", "ci_low", "ci_high", "t", "df"),
    "mean_log_cpm",
)
_WORDS = ("contrast", "method", "warnings", "flag")


def expression_differences(run: Run) -> Iterator[Problem]:
    """Yield every gene of expression_*.csv that pseudobulk_*.csv does not give again."""
    for subset in compared_subsets(run):
        table, counts = (replace(one, name=one.name.replace("*", subset)) for one in (EXPRESSION, PSEUDOBULK))
        if not file_in(run, counts).exists():
            yield Problem(file_of(counts), "", "the file is missing", CHANGED)
            continue
        stored, summed = read_written(run, table), read_written(run, counts)
        if isinstance(stored, tuple) or isinstance(summed, tuple):
            yield from (problem for one in (stored, summed) if isinstance(one, tuple) for problem in one)
            continue
        yield from _changed(run, table, stored, counts_of_table(summed))


def _changed(run: Run, table: Table, stored: pd.DataFrame, counts: pd.DataFrame) -> Iterator[Problem]:
    columns = ("sample_id", "patient_id", "visit", "cohort", "batch")
    own = [s for s in run.study.samples if s.modality == "single_cell" and not s.control_of]
    sheet = pd.DataFrame([{name: getattr(s, name) for name in columns} for s in own])
    before, after = compared_visits(run.study)
    again = expression_change(counts, sheet, before=before, after=after)
    was, now = (_by_gene(frame) for frame in (stored, again))
    both = was.index.intersection(now.index)
    numbers = [name for name in _NUMBERS if name in was]
    values = (frame.loc[both, numbers].to_numpy(dtype=np.float64, na_value=np.nan) for frame in (was, now))
    was_values, now_values = values
    same = np.isclose(was_values, now_values, rtol=1e-9, atol=1e-300, equal_nan=True)
    words = was.loc[both, list(_WORDS)].fillna("") == now.loc[both, list(_WORDS)].fillna("")
    settled = both[same.all(axis=1) & words.to_numpy().all(axis=1)]
    rest = [frame[~_by_gene(frame).index.isin(settled)] for frame in (stored, again)]
    yield from differences(table, rest[0], rest[1], table.key, _NUMBERS, _WORDS)


def _by_gene(frame: pd.DataFrame) -> pd.DataFrame:
    keys = [frame[key].astype("string").fillna("") for key in EXPRESSION.key]
    return frame.set_axis(pd.MultiIndex.from_arrays(keys), axis=0)
