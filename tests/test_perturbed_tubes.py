"""The changes of benchmarks/perturbations.py do what they say, and the worst of them no longer pass in silence."""

from __future__ import annotations

import numpy as np
import pytest
from builders import data_folder
from planted import planted_tube


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


def test_added_and_lost_events_keep_the_truth() -> None:
    from labelled_tube import Labelled
    from perturbed_events import dead_cells, doublets, fewer_positives
    from real_set import masked

    tube, kinds = planted_tube(3, n=4_000)
    cells = np.isin(kinds, ["naive", "memory"])
    start = Labelled(tube, (masked("CD4", "root", cells, np.ones(len(tube), bool)),))
    markers = ("Viability", "CD3", "CD4")
    for change, added in ((dead_cells(markers, "Viability"), 800), (doublets(), 400)):
        one = change(start)
        assert len(one.tube) == 4_000 + added
        np.testing.assert_array_equal(one.tube.columns[:, :4_000], tube.columns)
        assert one.events("CD4")[:4_000].tolist() == cells.tolist()
        assert not one.events("CD4")[4_000:].any()
    pairs = doublets()(start).tube
    assert np.median(pairs["FSC-A"][4_000:]) > 1.7 * np.median(pairs["FSC-A"][:4_000])
    dead = dead_cells(markers, "Viability")(start).tube
    assert np.median(dead["Viability"][4_000:]) > 5 * np.median(dead["Viability"][:4_000])
    fewer = fewer_positives("CD3", 0.5)(start)
    positive = np.isin(kinds, ["b", "dead", "debris"], invert=True)
    assert len(fewer.tube) == pytest.approx(4_000 - positive.sum() / 2, rel=0.03)
    assert fewer.expected[0].n == fewer.events("CD4").sum() == pytest.approx(cells.sum() / 2, rel=0.06)


def test_another_range_or_scatter_changes_nothing_else() -> None:
    from labelled_tube import Labelled
    from perturbed_signals import other_range, other_scatter

    tube, _ = planted_tube(4, n=500)
    wider = other_range(16.0)(Labelled(tube, ())).tube
    np.testing.assert_allclose(wider.columns, 16 * tube.columns)
    other = other_scatter(0.5, 2.0)(Labelled(tube, ())).tube
    np.testing.assert_allclose(other["FSC-A"], tube["FSC-A"] / 2)
    np.testing.assert_allclose(other["SSC-A"], 2 * tube["SSC-A"])
    np.testing.assert_array_equal(other["CD3"], tube["CD3"])
