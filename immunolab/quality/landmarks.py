"""How bright the cells of a tube's populations are, where they are alike: what drift is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.quality.staining_sample import COFACTORS

LANDMARKS = ("lymphocytes", "CD3", "CD4", "CD8", "B", "NK", "CD4_naive", "CD4_mem", "CD8_naive")
"""Populations that every blood has and that gates find by lineage."""
# what a population holds that stains unlike its other cells, by name
_PARTS = {
    "lymphocytes": ("CD3", "CD4", "CD8", "B", "NK", "CD4_naive", "CD4_mem", "CD8_naive"),
    "CD3": ("CD4", "CD8", "CD4_naive", "CD4_mem", "CD8_naive"),
    "CD4": ("CD4_naive", "CD4_mem"),
}
MOST_POPULATIONS = 5
"""Taken where a strategy has none of the landmarks' names: the first of its tree hold the most cells (judgement)."""
FEWEST_EVENTS = 50
"""Events of a population: its median is then known to a sixth of its spread (judgement)."""
_MOST_EVENTS = 2_000  # of a population that quartiles are of: the median's standard error is then .02 asinh
LEAST_LEVEL = 1.5
"""Least median, asinh: well above what an imperfect matrix leaves on unstained cells (judgement)."""
_MOST_SPREAD = 0.8  # asinh, quartile range as an sd: a stained population has .3 to .65, one of two groups over 1
_MOST_UNSTAINED_SPREAD = 1.0  # asinh, the same of unstained cells around zero: noise of the detector has .5 to .8
_QUARTILES_TO_SD = 1.349  # of a normal, distance of its quartiles in sd


def landmark_rows(tube: Tube, members: Mapping[str, NDArray[np.bool_]]) -> Iterator[dict[str, object]]:
    """Yield rows of `LANDMARKS` of one tube: each population in each marker that stains it evenly, or not at all.

    Unstained ones are of landmark populations only: they show what a run changes in a channel without its antibody.

    Parameters
    ----------
    tube
        Its events.
    members
        By population, which events are in it.
    """
    chosen = {name: _some(np.flatnonzero(mask)) for name, mask in members.items()}
    chosen = {name: rows for name, rows in chosen.items() if len(rows) >= FEWEST_EVENTS}
    wanted = compared(list(members))
    for channel in tube.channels:
        if channel.marker is None or channel.kind not in COFACTORS:
            continue
        values = np.arcsinh(tube.compensated(channel.name) / COFACTORS[channel.kind])
        for population, rows in chosen.items():
            low, median, high = np.percentile(values[rows], [25, 50, 75])
            spread = (high - low) / _QUARTILES_TO_SD
            stained = median >= LEAST_LEVEL and spread <= _MOST_SPREAD
            if stained or (population in wanted and spread <= _MOST_UNSTAINED_SPREAD):
                yield {
                    "sample_id": tube.sample_id,
                    "population": population,
                    "marker": channel.marker,
                    "n_events": int(np.count_nonzero(members[population])),
                    "median": float(median),
                    "spread": float(spread),
                }


def compared(populations: Sequence[str]) -> list[str]:
    """Return the landmarks among populations; the first of the tree where none has such a name.

    Parameters
    ----------
    populations
        Names, in the order of the tree.
    """
    return [name for name in LANDMARKS if name in populations] or list(populations[:MOST_POPULATIONS])


def without_unions(populations: Sequence[str]) -> list[str]:
    """Return populations but for those that are unlike cells together, where some of these are populations as well.

    The median of such a union in one dye and that in another are those of different cells: what light of the one is
    left in the other's channel is not seen from them.

    Parameters
    ----------
    populations
        Names.
    """
    return [name for name in populations if not set(_PARTS.get(name, ())) & set(populations)]


def _some(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return rows over the whole length of the tube, no more than are needed."""
    if len(rows) <= _MOST_EVENTS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_EVENTS).astype(np.intp)]
