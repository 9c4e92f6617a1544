"""The changes of benchmarks/perturbations.py do what they say, and the worst of them no longer pass in silence."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from builders import REPOSITORY, data_folder

sys.path.insert(0, str(REPOSITORY / "benchmarks"))


@pytest.fixture(scope="module")
def hipc():
    data_folder("flow")
    from real_sets import SETS

    return SETS["hipc_from_CD3"]()


def labelled(data, number: int):
    from labelled_tube import Labelled, compensated

    tube = compensated(data.tubes[number])
    return Labelled(tube, tuple(data.expected[tube.sample_id]), displayed=True)


def test_changes_keep_the_truth(hipc) -> None:
    from perturbations import changes

    start = labelled(hipc, 4)
    markers = ("CD4", "CD8", "CD45RA", "CCR7")
    kinds = set()
    for kind, what, change in changes(markers, ("CD4", "CD8"), scatter=False):
        one = change(start)
        kinds.add(kind)
        assert all(e.events.size == len(one.tube) and e.n == e.events.sum() for e in one.expected), (kind, what)
        assert np.isfinite(one.tube.columns).all(), (kind, what)
        if kind in ("removed", "sorted for"):
            assert one.events(what).any() == (kind == "sorted for")
            assert one.events(what).all() == (kind == "sorted for")
        elif kind != "none" and len(one.tube) == len(start.tube):
            assert not np.array_equal(one.tube.columns, start.tube.columns), (kind, what)
    assert len(kinds) > 12


@pytest.mark.parametrize("number", [3, 6, 7])
def test_dim_cd45ra_leaves_naive_cells_or_is_flagged(hipc, number: int) -> None:
    from perturbed_signals import dimmer
    from perturbed_tubes import gate_changed

    rows = {row["population"]: row for row in gate_changed("hipc", hipc, dimmer(0.3, "CD45RA")(labelled(hipc, number)))}
    assert rows["CD4_naive"]["f1"] > 0.8
    assert rows["CD4_CM"]["f1"] > 0.8


@pytest.mark.parametrize("number", [3, 6, 7])
def test_t_cells_of_a_sorted_tube_are_found_or_flagged(hipc, number: int) -> None:
    from perturbed_events import sorted_for
    from perturbed_tubes import gate_changed

    rows = {row["population"]: row for row in gate_changed("hipc", hipc, sorted_for("CD8")(labelled(hipc, number)))}
    assert rows["CD3"]["f1"] > 0.9 or rows["CD3"]["rank"] in ("doubtful", "unusable")
