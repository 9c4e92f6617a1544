"""Markers that do not go together as on cells: missing and exchanged antibodies, a signal in another's channel."""

from __future__ import annotations

import numpy as np
import pytest
from builders import data_folder
from planted import planted_tube

import immunolab as il
from immunolab.config import parse_yaml
from immunolab.events.tube import Channel, Tube
from immunolab.gating.coexpression import broken_rules
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy
from immunolab.gating.strategy_file import builtin_strategy, parse_strategy
from immunolab.schema.flags import split
from immunolab.vocabulary.coexpression import coexpression
from immunolab.vocabulary.lexicon import markers
from immunolab.vocabulary.populations import populations


def flagged(gated: il.GatedTube) -> set[str]:
    """Return the populations whose flag says that markers do not go together."""
    counts = gated.counts
    return {row.population for row in counts.itertuples() if "staining" in split(row.flag)}


def test_rules_name_markers_and_populations_of_the_vocabulary() -> None:
    rules = coexpression()
    named = {one for pair in (*rules.together, *rules.apart, *rules.rise.markers) for one in pair}
    named |= {one for lacking in rules.lack.values() for one in lacking}
    named |= {*rules.exchanged.markers, *rules.exchanged.higher, *rules.exchanged.classes}
    for group in rules.independent.groups.values():
        named |= {*group.carry, *group.lack}
    assert named <= set(markers())
    of = {
        *rules.independent.groups,
        rules.rise.within,
        *rules.exchanged.higher.values(),
        *rules.exchanged.more.values(),
    }
    of |= {f"{lineage}_{part}" for part in rules.exchanged.more for lineage in rules.exchanged.markers}
    assert of <= set(populations())


def test_planted_tubes_break_no_rule() -> None:
    for seed in range(3):
        tube, _ = planted_tube(seed, n=12_000)
        gated = il.gate(tube, "treg_th17_tfh_teff")
        assert not broken_rules(gated.memberships, tube)
        assert not flagged(gated)


LINEAGES = """
strategy: lineages
transform: {default: linear}
populations:
  - {name: CD3, parent: root, above: {marker: CD3, by: fixed, at: 500}}
  - {name: B, parent: root, above: {marker: CD19, by: fixed, at: 500}}
  - {name: CD4, parent: CD3, above: {marker: CD4, by: fixed, at: 500}}
  - {name: CD8, parent: CD3, above: {marker: CD8, by: fixed, at: 500}}
"""


def lineage_tube(n: int = 2_000, **carried: str) -> Tube:
    """Return a tube of T4, T8, B and NK cells, a quarter each; ``carried`` names the cells that carry a marker."""
    kinds = np.array(["T4", "T8", "B", "NK"])[np.arange(n) % 4]
    cells = {"CD3": "T4 T8", "CD4": "T4", "CD8": "T8", "CD19": "B"} | carried
    noise = np.random.default_rng(0).normal(0, 20, (len(cells), n))
    values = np.array([np.where(np.isin(kinds, words.split()), 1_000.0, 0.0) for words in cells.values()]) + noise
    channels = tuple(Channel(f"{name}-A", name, name) for name in cells)
    return Tube(values.astype(np.float32), channels, None, "S1")


@pytest.mark.parametrize(
    ("carried", "wrong"),
    [
        ({}, set()),
        ({"CD8": "T8 NK"}, set()),  # many NK cells with CD8 are no fault
        ({"CD3": "B", "CD19": "T4 T8"}, {"CD3", "B", "CD4", "CD8"}),  # exchanged
        ({"CD19": "T4 B"}, set()),  # half of the cells with CD19 are T cells, and chance may have it so
        ({"CD19": "T4 T8 B"}, {"B"}),  # T cells take up the antibody
        ({"CD4": "NK"}, {"CD4"}),  # of T cells none has CD4 now
    ],
)
def test_what_is_gated_on_a_doubted_marker_is_flagged(carried: dict[str, str], wrong: set[str]) -> None:
    gated = il.gate(lineage_tube(**carried), parse_strategy(parse_yaml(LINEAGES, "lineages.yaml")))
    assert flagged(gated) >= wrong
    assert wrong or not flagged(gated)


def drawn_by_hand() -> Strategy:
    """Return lineages whose gates have a far end on every axis; B cells come first and are drawn on CD3 too."""
    low, high = (-500.0, 500.0), (500.0, 2_000.0)
    sides = {
        "/B": {"CD19": high, "CD3": low},
        "/CD3": {"CD3": high},
        "/CD3/CD4": {"CD4": high, "CD8": low},
        "/CD3/CD8": {"CD8": high, "CD4": low},
    }
    drawn = []
    for path, of in sides.items():
        lower, upper = zip(*of.values(), strict=True)
        drawn.append(Population(path, Rectangle(tuple(Dimension(name) for name in of), lower, upper)))
    return Strategy("drawn", tuple(drawn))


@pytest.mark.parametrize(
    ("carried", "wrong"), [({}, set()), ({"CD3": "B", "CD19": "T4 T8"}, {"CD3", "B", "CD4", "CD8"})]
)
def test_the_far_end_of_a_drawn_gate_is_no_border(carried: dict[str, str], wrong: set[str]) -> None:
    assert flagged(il.gate(lineage_tube(**carried), drawn_by_hand())) == wrong


def test_of_populations_of_one_name_the_largest_is_looked_at() -> None:
    """All T cells read as CD8 cells, half of which carry CD4 and a few more: CD8 of no cell comes last."""
    border = (Dimension("CD8"),), (500.0,), (None,)
    populations = (
        Population("/CD3", Rectangle((Dimension("CD3"),), (500.0,), (None,))),
        Population("/CD3/CD4", Rectangle((Dimension("CD4"),), (500.0,), (None,))),
        Population("/CD3/CD8", Rectangle(*border)),
        Population("/B", Rectangle((Dimension("CD19"),), (500.0,), (None,))),
        Population("/B/CD8", Rectangle(*border)),
    )
    gated = il.gate(lineage_tube(CD4="T4 T8"), Strategy("two", populations))
    assert {row.path for row in gated.counts.itertuples() if "staining" in split(row.flag)} >= {"/CD3/CD8"}


COUNTED = """
strategy: counted
transform: {default: linear}
populations:
  - {name: CD4, parent: root, above: {marker: CD4, by: fixed, at: 50}}
  - {name: CD8, parent: root, above: {marker: CD8, by: fixed, at: 50}}
  - {name: with_CD25, parent: CD4, above: {marker: CD25, by: fixed, at: 2}}
  - {name: with_CD45RA, parent: CD4, above: {marker: CD45RA, by: fixed, at: 2}}
  - {name: with_CCR7, parent: CD4, above: {marker: CCR7, by: fixed, at: 2}}
"""
EVEN = {"CD25": 0.9, "CD45RA": 0.5, "CCR7": 0.5}


def counted_tube(zeros: dict[str, float], rises: bool) -> Tube:
    """Return a tube of CD4 and CD8 cells alike; CCR7 rises with CD45RA, and of each marker a share reads zero."""
    n, rng = 4_000, np.random.default_rng(4)
    is_cd4 = np.arange(n) % 2
    level = rng.random(n)
    values = {"CD4": 100.0 * is_cd4, "CD8": 100.0 * (1 - is_cd4)}
    for name, share in zeros.items():
        of = level if rises and name in ("CD45RA", "CCR7") else rng.random(n)
        values[name] = np.where(of < share, 0, 3 + np.floor(10 * of))
    channels = tuple(Channel(f"{name}-A", name, name, kind="mass") for name in values)
    return Tube(np.array(list(values.values()), dtype=np.float32), channels, None, "S1")


@pytest.mark.parametrize(
    ("zeros", "rises", "doubted"),
    [
        (EVEN, True, set()),  # nothing sets CD4 from CD8 cells
        (EVEN, False, {"CD45RA", "CCR7"}),
        ({"CD25": 0.9, "CD45RA": 0.85, "CCR7": 0.85}, False, {"CD45RA", "CCR7"}),  # zeros of both are no rise
        ({"CD25": 0.9, "CD45RA": 0.5, "CCR7": 1.0}, True, {"CD45RA", "CCR7"}),  # no cell has any CCR7
    ],
)
def test_counts_of_zero_say_nothing(zeros: dict[str, float], rises: bool, doubted: set[str]) -> None:
    tube = counted_tube(zeros, rises)
    gated = il.gate(tube, parse_strategy(parse_yaml(COUNTED, "counted.yaml")))
    assert set(broken_rules(gated.memberships, tube)) == doubted


@pytest.mark.parametrize(("double", "is_flagged"), [(150, False), (700, True)])
def test_cd8_cells_most_of_which_carry_cd4_are_flagged(double: int, is_flagged: bool) -> None:
    tube = lineage_tube()
    columns = tube.columns.copy()
    columns[tube.find("CD8"), np.flatnonzero(np.arange(2_000) % 4 == 0)[:double]] = 1_000.0  # of 500 T4, 500 T8
    extra = columns[:, np.flatnonzero(np.arange(2_000) % 4 == 0)[: max(double - 500, 0)]]
    tube = Tube(np.concatenate([columns, extra], axis=1), tube.channels, None, "S1")
    gated = il.gate(tube, parse_strategy(parse_yaml(LINEAGES, "lineages.yaml")))
    share = float(np.mean(gated.tube["CD4"][gated.mask("CD8")] > 500))
    assert (share > 0.55) is is_flagged
    assert ("CD8" in flagged(gated)) is is_flagged


def test_few_cells_break_no_rule() -> None:
    tube = lineage_tube(n=8, CD19="T4 T8 B")
    gated = il.gate(tube, parse_strategy(parse_yaml(LINEAGES, "lineages.yaml")))
    assert not flagged(gated)  # two B cells and four T cells with CD19: 67 %, from 30 to 92 %


@pytest.fixture(scope="module")
def hipc():
    data_folder("flow")
    from labelled_tube import Labelled, compensated
    from real_sets import SETS

    data = SETS["hipc_shipped"]()
    tube = compensated(data.tubes[0])
    return data, Labelled(tube, tuple(data.expected[tube.sample_id]), displayed=True)


def test_real_tubes_and_reagents_that_fail_in_them(hipc) -> None:
    from perturbed_signals import missing, spilled, swapped

    data, start = hipc

    def wrong(*changes) -> set[str]:
        one = start
        for change in changes:
            one = change(one)
        return flagged(il.gate(one.tube, data.strategy))

    memory = {f"{lineage}_{part}" for lineage in ("CD4", "CD8") for part in ("CM", "EM", "TEMRA")}
    assert wrong() == set()
    assert wrong(missing("CD38")) == {"CD4_act", "CD8_act"}
    assert wrong(missing("CCR7")) >= memory
    assert wrong(swapped("HLA-DR", "CD38")) == {"CD4_act", "CD8_act"}
    assert wrong(spilled("CCR7", "HLA-DR")) == {"CD4_act", "CD8_act"}
    assert wrong(swapped("CD4", "CD8")) >= {"CD4", "CD8", *memory}
    assert wrong(swapped("CD45RA", "CCR7")) >= memory


def test_imported_gates_are_looked_at_by_the_markers_of_their_channels() -> None:
    tube = lineage_tube(CD3="B", CD19="T4 T8")
    by_channel = LINEAGES
    for marker in ("CD3", "CD19", "CD4", "CD8"):
        by_channel = by_channel.replace(f"marker: {marker},", f"marker: {marker}-A,")
    gated = il.gate(tube, parse_strategy(parse_yaml(by_channel, "lineages.yaml")))
    assert flagged(gated) >= {"CD3", "B"}


def test_the_shipped_strategies_name_the_populations_of_the_rules() -> None:
    rules = coexpression()
    names = {one.name for one in builtin_strategy("treg_th17_tfh_teff").populations}
    assert {*rules.independent.groups, rules.rise.within, *rules.exchanged.markers} <= names


def test_a_plain_cd8_gate_of_a_real_tube_with_few_cd8_cells_is_flagged() -> None:
    """FlowJo has 587 CD8 T cells in this tube; CD8+ without CD4- takes in twice as many that carry CD4."""
    [path] = [one for one in data_folder("flow/symphony_foxp3_wsp").glob("*.fcs") if "W_029_O" in one.name]
    plain = """
strategy: plain
populations:
  - {name: CD3, parent: root, where: CD3+}
  - {name: CD4, parent: CD3, where: CD4+}
  - {name: CD8, parent: CD3, where: CD8+}
"""
    gated = il.gate(il.read_fcs(path), parse_strategy(parse_yaml(plain, "plain.yaml")))
    assert gated.mask("CD8").sum() > 2 * 587
    assert flagged(gated) == {"CD8"}
