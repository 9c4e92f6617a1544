"""Which hump of a lineage marker is negative: the tube's other cells say so, or the border is withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from planted import f1

import immunolab as il
from immunolab.config import parse_yaml
from immunolab.events.tube import Channel, Tube
from immunolab.gating.placement.methods.known_negatives import known_negatives
from immunolab.gating.placement.methods.lymphocytes import lymphocytes
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.strategy_file import parse_strategy
from immunolab.gating.tubes import GatedTube

COFACTOR = 150.0
HEAD = "strategy: lineages\ntransform: {default: {asinh: {cofactor: 150}}, scatter: linear}\npopulations:\n"
TREE = (
    "name: CD3, parent: root, where: CD3+",
    "name: CD4, parent: CD3, where: CD4+ CD8-",
    "name: CD8, parent: CD3, where: CD8+ CD4-",
)
MARKERS = ("CD3", "CD4", "CD8", "CD19")
# kind -> level of each marker that it carries, on asinh(x / 150); others are at 0.4
LEVELS: Mapping[str, Mapping[str, float]] = {
    "CD4": {"CD3": 4, "CD4": 3},
    "CD8": {"CD3": 4, "CD8": 4},
    "DN": {"CD3": 4},
    "B": {"CD19": 4},
    "TB": {"CD3": 4, "CD19": 4, "CD4": 3.5},
    "DNB": {"CD3": 4, "CD19": 4},
}


def _tube(
    counts: Mapping[str, int], *, markers: Sequence[str] = MARKERS, sd: float = 0.5, seed: int = 0, lift: float = 0.0
) -> tuple[Tube, np.ndarray]:
    """Return a tube of so many cells of each kind, and the kinds; ``lift`` raises T cells without CD8 on it."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(list(counts), list(counts.values()))
    signal = rng.normal(0.4, sd, (len(markers), len(kinds)))
    for kind, levels in LEVELS.items():
        for marker in markers:
            level = levels.get(marker, 0.4 + lift * (marker == "CD8" and kind in ("CD4", "DN")))
            signal[markers.index(marker), kinds == kind] += level - 0.4
    channels = tuple(Channel(f"{m}-A", m, m) for m in markers)
    return Tube((COFACTOR * np.sinh(signal)).astype(np.float32), channels, None, "S1"), kinds


def _gate(tube: Tube, *populations: str) -> GatedTube:
    text = HEAD + "".join(f"  - {{{one}}}\n" for one in populations)
    return il.gate(tube, parse_strategy(parse_yaml(text, "lineages.yaml")))


def _flags(gated: GatedTube, name: str) -> set[str]:
    flag = gated.counts.set_index("population").loc[name, "flag"]
    return set() if pd.isna(flag) else set(flag.split(";"))


@pytest.mark.parametrize("few", [0, 20, 60])
def test_a_marker_on_nearly_all_cells_keeps_them(few: int) -> None:
    tube, kinds = _tube({"CD4": 5_000, "CD8": few, "DN": few, "B": 600})
    gated = _gate(tube, *TREE)
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.97
    assert not _flags(gated, "CD4") & {"no_border", "no_valley", "unimodal", "no_positives"}


def test_a_marker_on_nearly_all_cells_is_shown_by_the_cells_beside_the_parent() -> None:
    """Without CD19 in the panel, the cells without CD3 show where CD4 is negative."""
    tube, kinds = _tube({"CD4": 5_000, "DN": 10, "B": 600}, markers=("CD3", "CD4", "CD8"))
    gated = _gate(tube, *TREE)
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.97
    row = gated.thresholds.set_index(["population", "marker"]).loc[("CD4", "CD4")]
    assert row["method"] == "known_negatives"
    assert "CD3-" in row["reason"]


@pytest.mark.parametrize("residue", [1.0, 1.2])
def test_cd8_cells_that_read_a_little_on_cd4_are_not_cut_in_half(residue: float) -> None:
    """What is left of CD8's dye on CD4 fills the valley between T cells with neither marker and CD4 cells."""
    tube, kinds = _tube({"CD4": 8_000, "CD8": 4_000, "DN": 600, "B": 2_000}, sd=0.4)
    read = np.arcsinh(tube.columns[MARKERS.index("CD4")] / COFACTOR)
    tube.columns[MARKERS.index("CD4")] = COFACTOR * np.sinh(read + residue * (kinds == "CD8"))
    gated = _gate(tube, *TREE)
    assert f1(gated.mask("CD8"), kinds == "CD8") > 0.95
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.97


def test_doublets_of_t_and_b_cells_do_not_show_where_cd4_is_negative() -> None:
    """Of events with CD3 and CD19 over half carry CD4: their main group is positive, whatever else they hold."""
    tube, kinds = _tube({"CD4": 5_000, "CD8": 900, "DN": 1_200, "TB": 90, "DNB": 70, "B": 800}, sd=0.45)
    gated = _gate(tube, *TREE)
    assert f1(gated.mask("CD4"), np.isin(kinds, ("CD4", "TB"))) > 0.97
    assert not _flags(gated, "CD4")


def test_a_marker_on_no_cell_is_withheld_or_next_to_nothing_and_flagged() -> None:
    tube, _ = _tube({"DN": 5_000, "B": 600})
    gated = _gate(tube, *TREE)
    counts = gated.counts.set_index("population")
    for name in ("CD4", "CD8"):
        assert _flags(gated, name) & {"no_border", "unimodal"}
        assert not counts.loc[name, "percent_of_parent"] > 1


@pytest.mark.parametrize("lift", [0.0, 0.6])
def test_negative_cells_that_read_a_little_more_than_others_do_are_still_negative(lift: float) -> None:
    tube, kinds = _tube({"CD4": 5_000, "B": 600}, lift=lift)
    gated = _gate(tube, *TREE)
    assert gated.mask("CD8").sum() < 0.01 * (kinds == "CD4").sum()
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.97


def test_one_hump_that_nothing_in_the_tube_explains_is_withheld() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(900, 150, 4_000).astype(np.float32)  # never below zero: the noise of zero is not to be seen
    tube = Tube(values[None], (Channel("CD19-A", "CD19", "CD19"),), None, "S1")
    gated = _gate(tube, "name: B, parent: root, where: CD19+", "name: not_B, parent: root, where: CD19-")
    for name in ("B", "not_B"):
        assert "no_border" in _flags(gated, name)
        assert np.isnan(gated.percent(name))
    assert "nothing in the tube shows" in gated.thresholds["reason"].iloc[0]


def test_t_cells_alone_are_known_by_cd4_and_cd8() -> None:
    tube, kinds = _tube({"CD4": 3_000, "CD8": 2_000, "DN": 100}, markers=("CD3", "CD4", "CD8"))
    gated = _gate(tube, *TREE)
    assert gated.percent("CD3") > 99
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.97
    assert f1(gated.mask("CD8"), kinds == "CD8") > 0.97


def test_bright_and_dim_cells_of_one_lineage_alone_are_flagged_where_a_border_parts_them() -> None:
    tube, _ = _tube({"CD8": 4_000}, markers=("CD3", "CD4", "CD8"))
    dim = np.arange(len(tube)) < 1_600
    columns = tube.columns.copy()
    columns[0] = COFACTOR * np.sinh(np.arcsinh(columns[0] / COFACTOR) - 1.6 * dim)
    gated = _gate(replace(tube, columns=columns), *TREE)
    assert gated.percent("CD3") > 95 or _flags(gated, "CD3") & {"unimodal", "no_border"}


def test_leukocytes_alone_all_carry_cd45() -> None:
    rng = np.random.default_rng(0)
    values = (COFACTOR * np.sinh(rng.normal(4, 0.4, 4_000))).astype(np.float32)
    tube = Tube(values[None], (Channel("CD45-A", "CD45", "CD45"),), None, "S1")
    gated = _gate(tube, "name: leukocytes, parent: root, where: CD45+")
    assert gated.percent("leukocytes") > 99
    assert not _flags(gated, "leukocytes")


@pytest.mark.parametrize("sd", [400.0, 1_500.0])
def test_noise_of_zero_has_no_valley(sd: float) -> None:
    """On asinh(x / 150) wide noise around zero shows two humps beside zero."""
    rng = np.random.default_rng(1)
    values = rng.normal(60, sd, (1, 6_000)).astype(np.float32)
    assert np.isfinite(valley(np.arcsinh(values[0] / COFACTOR)).value)  # the display alone shows one
    tube = Tube(values, (Channel("CD69-A", "CD69", "CD69"),), None, "S1")
    gated = _gate(tube, "name: act, parent: root, above: {marker: CD69, by: valley}")
    assert "no_valley" in _flags(gated, "act")
    assert not gated.percent("act") > 5


def test_of_two_valleys_the_one_above_known_negatives_counts() -> None:
    """CD4 of two levels among T cells: the deepest valley parts dim from bright, the border belongs below both."""
    tube, kinds = _tube({"CD4": 6_000, "CD8": 60, "DN": 60, "B": 800})
    columns = tube.columns.copy()
    bright = np.flatnonzero(kinds == "CD4")[::2]
    columns[1, bright] = COFACTOR * np.sinh(np.arcsinh(columns[1, bright] / COFACTOR) + 3)
    gated = _gate(replace(tube, columns=columns), *TREE)
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.95


@pytest.mark.parametrize("share", [0.02, 0.7, 0.98])
def test_known_negatives_part_overlapping_groups_at_any_share(share: float) -> None:
    rng = np.random.default_rng(2)
    positive = rng.random(20_000) < share
    values = np.where(positive, rng.normal(2.6, 0.6, 20_000), rng.normal(0, 0.6, 20_000))
    cut = known_negatives(values, rng.normal(0, 0.6, 3_000))
    assert np.mean((values > cut.value) == positive) > 0.97
    assert ("unimodal" in cut.flags) == (share < 0.5)


def test_nk_cells_have_their_border_among_cells_without_cd3() -> None:
    """Of T cells some carry little CD56, which fills the valley between NK cells and others; of CD3- cells none do."""
    rng = np.random.default_rng(9)
    groups = {"T": (6_000, 9_000, 900), "dim": (900, 9_000, 2_500), "B": (2_500, 0, 0), "NK": (500, 0, 9_000)}
    cd3 = np.concatenate([rng.normal(a, 300 + a / 6, n) for n, a, _ in groups.values()])
    cd56 = np.concatenate([rng.normal(b, 250 + b / 5, n) for n, _, b in groups.values()])
    nk = np.repeat(list(groups), [n for n, _, _ in groups.values()]) == "NK"
    channels = tuple(Channel(f"{name}-A", name, name) for name in ("CD3", "CD56"))
    tube = Tube(np.array([cd3, cd56], dtype=np.float32), channels, sample_id="S1")
    text = "strategy: nk\npopulations:\n  - {name: NK, parent: root, where: CD3- CD56+}\n"
    gated = il.gate(tube, parse_strategy(parse_yaml(text)))
    called = gated.mask("NK")
    assert 2 * (called & nk).sum() / (called.sum() + nk.sum()) > 0.97
    reason = gated.thresholds.set_index("marker").loc["CD56", "reason"]
    assert int(reason.split(" ")[0]) == pytest.approx(3_000, abs=60)  # B and NK cells


def test_the_lymphocyte_cloud_is_not_the_end_of_the_detector() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(350, 60, 1_500), rng.normal(600, 110, 6_000)])
    y = np.concatenate([rng.normal(130, 35, 1_500), rng.normal(950, 170, 6_000)])
    cloud = lymphocytes(x.clip(0, 1_023), y.clip(0, 1_023))
    assert cloud.mean == (pytest.approx(350, abs=20), pytest.approx(130, abs=15))


SYMPHONY = {"/CD3+": "CD3", "/CD3+/CD4": "CD4", "/CD3+/CD8": "CD8"}


def test_t_cells_of_the_symphony_are_flowjos() -> None:
    """CD4 on nearly all T cells: of 9,120 cells 2 were found when one hump was negative."""
    folder = data_folder("flow/symphony_foxp3_wsp")
    for file in sorted(folder.glob("*.fcs")):
        tube = il.read_fcs(file)
        drawn, gated = il.gate(tube, folder / "workspace.wsp"), il.gate(tube, "treg_foxp3")
        base = len(tube), len(tube)
        for path, name in SYMPHONY.items():
            wanted, found = drawn.mask(path), gated.mask(name)
            assert 100 * found.sum() / base[1] == pytest.approx(100 * wanted.sum() / base[0], abs=3), (file.name, name)
            base = (drawn.mask("/CD3+").sum(), gated.mask("CD3").sum())


@pytest.mark.parametrize("share", [0.55, 0.6, 0.8])
def test_a_negative_group_of_any_size_leaves_the_border_between_the_groups(share: float) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(3000) < share
    values = np.where(positive, rng.normal(4.0, 0.4, 3000), rng.normal(0.4, 0.5, 3000))
    assert 1.0 < known_negatives(values, rng.normal(0.4, 0.5, 1000)).value < 3.2


def test_a_clear_valley_stays_where_the_parents_negative_cells_read_more_than_other_lineages() -> None:
    """CD8 cells read more on CD4 than cells without CD3: clean groups are parted at their valley all the same."""
    tube, kinds = _tube({"CD4": 3_000, "CD8": 1_500, "DN": 100, "B": 900}, markers=("CD3", "CD4", "CD8"), sd=0.25)
    columns = tube.columns.copy()
    raised = kinds == "CD8"
    columns[1, raised] = COFACTOR * np.sinh(np.arcsinh(columns[1, raised] / COFACTOR) + 0.6)
    gated = _gate(replace(tube, columns=columns), *TREE)
    assert f1(gated.mask("CD4"), kinds == "CD4") > 0.97
    assert f1(gated.mask("CD8"), kinds == "CD8") > 0.97


def _cd4_and_cd8(kinds: Mapping[str, tuple[int, float, float]], tail: float, seed: int) -> tuple[GatedTube, np.ndarray]:
    """Gate T cells of so many of each kind with mean CD4 and CD8; the CD8 of ``dim`` has an exponential tail."""
    rng = np.random.default_rng(seed)
    named = np.repeat(list(kinds), [n for n, *_ in kinds.values()])
    signal = np.array([kinds[name][1:] for name in named]).T + rng.normal(0, 0.4, (2, len(named)))
    signal[1, named == "dim"] += rng.exponential(tail, np.count_nonzero(named == "dim"))
    channels = tuple(Channel(f"{marker}-A", marker, marker) for marker in ("CD4", "CD8"))
    tube = Tube((COFACTOR * np.sinh(signal)).astype(np.float32), channels, None, "S1")
    text = HEAD + "".join(f"  - {{{line}}}\n" for line in TREE[1:]).replace("parent: CD3", "parent: root")
    return il.gate(tube, parse_strategy(parse_yaml(text))), named


def test_cd4_cells_whose_cd8_fades_are_cd4_cells() -> None:
    kinds = {"CD4": (3_000, 3.4, 0.5), "dim": (600, 3.2, 0.7), "CD8": (2_000, 0.4, 4.8)}
    gated, named = _cd4_and_cd8(kinds, 0.7, 7)
    assert f1(gated.mask("CD4"), np.isin(named, ("CD4", "dim"))) > 0.99
    assert gated.mask("CD4")[named == "dim"].mean() > 0.97
    borders = gated.thresholds[gated.thresholds["marker"] == "CD8"].set_index("population")
    assert "above CD4+ cells with a little CD8" in borders.loc["CD4", "reason"]
    assert borders.loc["CD4", "ci_low"] < borders.loc["CD4", "threshold"] < borders.loc["CD4", "ci_high"]
    assert borders.loc["CD8", "threshold"] < borders.loc["CD4", "threshold"]


@pytest.mark.parametrize("both", [20, 300])
def test_a_group_with_cd4_and_cd8_is_no_cd4(both: int) -> None:
    kinds = {"CD4": (3_000, 3.4, 0.5), "both": (both, 3.4, 3.8), "CD8": (2_000, 0.4, 4.8)}
    gated, named = _cd4_and_cd8(kinds, 0.0, 8)
    assert gated.mask("CD4")[named == "both"].mean() < 0.1
    assert f1(gated.mask("CD4"), named == "CD4") > 0.99
