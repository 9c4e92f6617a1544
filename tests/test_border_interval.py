"""A border between two groups of cells, and how far a share depends on where it is put."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from pandas import DataFrame
from scipy.stats import norm

from immunolab.cells.border_interval import between_groups
from immunolab.cells.label import label_cells
from immunolab.gating.method_results import Cut
from immunolab.loaders.single_cell import interpret_cells
from immunolab.schema.flags import Flag


@pytest.mark.parametrize(("apart", "doubtful"), [(2.0, True), (6.0, False)])
def test_a_share_is_doubtful_where_a_fifth_of_the_cells_lie_between_the_groups(apart: float, doubtful: bool) -> None:
    values = np.concatenate([norm.ppf((np.arange(500) + 0.5) / 500, at, 0.7) for at in (0.0, apart)])
    cut, (low, high) = between_groups(values, Cut(apart / 2))
    assert (low, high) == pytest.approx((apart / 4, 3 * apart / 4), abs=0.03)
    assert (Flag.WIDE_INTERVAL in cut.flags) is doubtful


def test_a_share_of_cells_that_lie_between_two_groups_is_said_with_both_its_ends() -> None:
    rng = np.random.default_rng(0)
    level = {"CD3": 300, "CD4": 300, "CD8": 5, "CD14": 5, "CD19": 5, "CD56": 5}
    counts = {
        name: rng.negative_binomial(6, 6 / (6 + np.where(np.arange(1200) < 900, mean, 5)))
        for name, mean in level.items()
    }
    naive = np.arange(1200) % 2 == 0
    counts["CD45RA"] = rng.negative_binomial(3, 3 / (3 + np.where(naive, 90, 12)))
    found = label_cells(
        interpret_cells(AnnData(obsm={"protein": DataFrame(counts, index=list(map(str, range(1200))))}))
    )
    said = [note for note in found.notes if note.startswith("CD45RA: ") and "by where a reader puts the border" in note]
    border = found.thresholds[found.thresholds["population"] == "CD4_naive"]
    assert len(said) == 1
    assert (border["ci_low"] < border["threshold"]).all()
    assert (border["threshold"] < border["ci_high"]).all()
