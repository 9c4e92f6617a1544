"""The power of the next cohort computed again, from the pairs and shifts as written."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.comparison.family_power import family_power
from immunolab.errors import Problem
from immunolab.report.table_diff import differences, file_in, read_written
from immunolab.results.run import Run
from immunolab.schema.comparison import PAIRS, SHIFTS
from immunolab.schema.next_cohort import POWER_IN_FAMILY

_NUMBERS = (
    *("n_family", "effect", "power", "power_low", "power_high", "assurance", "sd", "n_pairs"),
    *("patients_for_80", "patients_for_80_assured", "seed", "n_sims"),
)
_WORDS = ("role", "adjustment", "effect_is", "effect_from")


def power_differences(run: Run) -> Iterator[Problem]:
    """Yield every number of power_in_family.csv that the same seed does not give again."""
    if not file_in(run, POWER_IN_FAMILY).exists():
        return
    read = {table.name: read_written(run, table) for table in (POWER_IN_FAMILY, PAIRS, SHIFTS)}
    for found in read.values():
        if isinstance(found, tuple):
            yield from found
    known = {name: found for name, found in read.items() if isinstance(found, pd.DataFrame)}
    if len(known) == len(read):
        controls = {name for name, endpoint in run.declared.items() if endpoint.negative_control}
        again = family_power(known["pairs"], known["shifts"], run.study.next_cohort, controls=controls, seed=run.seed)
        stored = known[POWER_IN_FAMILY.name]
        yield from differences(POWER_IN_FAMILY, _keyed(stored), _keyed(again), POWER_IN_FAMILY.key, _NUMBERS, _WORDS)


def _keyed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(n_patients=table["n_patients"].astype(str))
