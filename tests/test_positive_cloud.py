"""FOXP3's own cloud leads: planted clouds of known size, noise alone, and the tubes of a Symphony study."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from builders import data_folder

from immunolab.config import parse_yaml
from immunolab.events.tube import Channel, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.methods.positive_cloud import positive_cloud, share_lost
from immunolab.gating.strategy import Strategy
from immunolab.gating.strategy_file import parse_strategy
from immunolab.loaders.fcs.read import read_fcs
from immunolab.schema.flags import Flag

GATES = """
strategy: foxp3
transform: {default: {asinh: {cofactor: 150}}}
populations:
  - {name: CD4, parent: root, where: CD4+}
  - {name: CD4_naive, parent: CD4, where: CD45RA+}
  - {name: Treg_FOXP3, parent: CD4, where: CD25+ FOXP3+}
thresholds: {CD4: {by: fixed, at: -9}, RULES}
"""


def gates(rules: str = "") -> Strategy:
    return parse_strategy(parse_yaml(GATES.replace(", RULES", f", {rules}" if rules else "")))


def cd4(
    share: float, n: int = 6_000, seed: int = 0, *, cd25: float = 1.3, smear: float = 0.0
) -> tuple[Tube, np.ndarray]:
    """CD4 cells of which a share is Treg: skewed FOXP3 beyond the noise, dim CD25 that overlaps that of the others.

    ``smear`` is the share of cells whose compensation error spreads FOXP3 to both sides of zero. All numbers are
    instrument units; a Symphony tube of the study below has such noise.
    """
    rng = np.random.default_rng(seed)
    treg = rng.random(n) < share
    foxp3 = rng.normal(90, 90, n) + np.where(rng.random(n) < smear, rng.normal(0, 350, n), 0)
    foxp3[treg] = 90 + 500 * rng.gamma(2.0, 1.2, treg.sum()) + 350
    level = rng.normal(np.where(treg, cd25 + 0.9, cd25), 0.6)
    naive = rng.random(n) < np.where(treg, 0.3, 0.5)
    columns = [
        150 * np.sinh(rng.normal(4, 0.3, n)),
        foxp3,
        150 * np.sinh(level),
        150 * np.sinh(rng.normal(np.where(naive, 4.0, 0.5), 0.5)),
    ]
    names = ("CD4", "FOXP3", "CD25", "CD45RA")
    channels = tuple(Channel(f"{name}-A", name, name) for name in names)
    return Tube(np.array(columns, dtype=np.float32), channels, sample_id="S1"), treg


def called(strategy: Strategy, tube: Tube) -> tuple[np.ndarray, list[str]]:
    placed = fit(strategy, [tube]).strategies[tube.sample_id]
    population = placed["Treg_FOXP3"]
    return evaluate(placed, tube).masks[population.path], (population.flag or "").split(";")


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_activated_cells_with_a_little_foxp3_do_not_pull_the_border_of_cd25_among_negative_cells(seed: int) -> None:
    """As many activated cells as Treg: FOXP3 of a third, CD25 between those of Treg and of resting cells."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, 6_000, p=[0.92, 0.04, 0.04])  # resting, Treg, activated
    foxp3 = 150 * np.sinh(rng.normal(np.array([0.75, 3.0, 1.9])[kind], np.array([0.45, 0.55, 0.3])[kind]))
    cd25 = 150 * np.sinh(rng.normal(np.array([0.95, 3.6, 1.9])[kind], np.array([0.8, 0.5, 0.6])[kind]))
    corner = positive_cloud(foxp3, cd25)
    found = (foxp3 > corner.x.value) & (cd25 > corner.y.value)
    assert 2 * (found & (kind == 1)).sum() / (found.sum() + (kind == 1).sum()) > 0.8


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.12])
def test_a_dim_cloud_of_known_size_is_found_and_not_flagged(share: float, seed: int) -> None:
    tube, treg = cd4(share, seed=seed)
    found, flags = called(gates(), tube)
    f1 = 2 * (found & treg).sum() / (found.sum() + treg.sum())
    assert f1 > 0.88
    assert found.sum() / treg.sum() == pytest.approx(1, abs=0.15)
    assert flags == [""]


def test_noise_to_both_sides_of_zero_is_not_called() -> None:
    tube, treg = cd4(0.05, smear=0.08)
    found, _ = called(gates(), tube)
    assert (found & treg).sum() / treg.sum() > 0.6
    assert (found & ~treg).sum() / found.sum() < 0.15


@pytest.mark.parametrize("smear", [0.0, 0.08])
def test_without_a_cloud_there_is_no_border(smear: float) -> None:
    tube, _ = cd4(0.0, smear=smear)
    corner = positive_cloud(tube["FOXP3"], tube["CD25"], withhold=True)
    assert np.isnan(corner.x.value)
    assert {Flag.NO_CORNER_CLOUD, Flag.NO_BORDER} <= set(corner.x.flags)
    rules = "FOXP3: {by: positive_cloud, partner: CD25, withhold: true}"
    assert Flag.NO_BORDER in called(gates(rules), tube)[1]
    # left to the defaults other evidence takes its place, and says so
    assert Flag.NO_CORNER_CLOUD in called(gates(), tube)[1]


def test_few_events_or_no_negative_side_are_no_cloud_and_nothing_is_raised() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, 3_000).astype(float)  # mass cytometry: nothing is below zero
    for x in (np.empty(0), np.ones(3), np.full(300, np.nan), counts):
        corner = positive_cloud(x, rng.normal(size=len(x)), withhold=True)
        assert np.isnan(corner.x.value)
        assert Flag.NO_BORDER not in corner.x.flags


def test_the_cloud_is_the_same_in_other_units() -> None:
    tube, _ = cd4(0.05)
    once = positive_cloud(tube["FOXP3"], tube["CD25"])
    twice = positive_cloud(7 * tube["FOXP3"], 3 * tube["CD25"])
    assert twice.x.value == pytest.approx(7 * once.x.value, rel=1e-6)
    assert twice.y.value == pytest.approx(3 * once.y.value, rel=1e-6)


def test_a_cd25_border_that_removes_the_cloud_is_flagged() -> None:
    tube, treg = cd4(0.05)
    rules = "FOXP3: {by: fixed, at: 1.7}, CD25: {by: fixed, at: %s}"
    high, low = (called(gates(rules % at), tube) for at in (2.85, 0.8))
    assert (high[0] & treg).sum() < 0.3 * treg.sum()
    assert Flag.CUTS_CLOUD in high[1]
    assert Flag.CUTS_CLOUD not in low[1]
    assert share_lost(tube["FOXP3"], tube["CD25"], 150 * np.sinh(2.85)) > 0.7


def test_visits_share_the_border_and_a_change_of_cells_is_no_change_of_gates() -> None:
    first, second = cd4(0.03, seed=3)[0], cd4(0.09, seed=4)[0]
    tubes = [replace(first, sample_id="W0"), replace(second, sample_id="W8")]
    fitted = fit(gates(), tubes, groups={name: {"patient": "P1", "batch": "b"} for name in ("W0", "W8")})
    shares = [evaluate(fitted.strategies[t.sample_id], t).masks["/CD4/Treg_FOXP3"].mean() for t in tubes]
    assert shares[1] / shares[0] == pytest.approx(3, rel=0.15)
    assert len({row.threshold for rows in fitted.records.values() for row in rows if row.marker == "FOXP3"}) == 1


SHIPPED = "FOXP3: {pos: {by: positive_cloud, partner: CD25, withhold: true}}"


def symphony() -> list[Tube]:
    """The CD4 cells of five Symphony tubes by FlowJo's gates; the one that the workspace lacks has those of its day."""
    place = data_folder("flow/symphony_foxp3_wsp")
    workspace = read_workspace(place / "workspace.wsp")
    tubes = [read_fcs(path) for path in sorted(place.glob("*.fcs"))]
    known = {
        tube.file: workspace.strategy_for(tube.file, tube.keywords) for tube in tubes if "changedW" not in tube.file
    }
    same_day = next(own for file, own in known.items() if "21_04_20" in file)
    found = []
    for tube in tubes:
        masks = evaluate(known.get(tube.file, same_day), tube).masks
        found.append(replace(tube.take(masks["/CD3+/CD4"]), sample_id=re.sub(r"\W+", "_", tube.file)))
    return found


@pytest.mark.parametrize("together", [False, True])
def test_treg_of_a_symphony_study_are_a_cloud_of_ctla4_high_cells(together: bool) -> None:
    tubes = symphony()
    strategy = gates(SHIPPED + ", CD25: {pos: {by: positive_cloud, partner: FOXP3}}")
    numbers = 0
    for tube in tubes:
        fitted = fit(strategy, tubes if together else [tube])
        placed = fitted.strategies[tube.sample_id]
        population = placed["Treg_FOXP3"]
        treg = evaluate(placed, tube).masks[population.path]
        ctla4 = tube["CTLA-4"]
        percent = 100 * treg.mean()
        if len(tube) >= 1_000 and Flag.NO_BORDER not in (population.flag or ""):
            assert 1.5 <= percent <= 15, tube.sample_id
            assert np.median(ctla4[treg]) >= 3 * np.median(ctla4[~treg]), tube.sample_id
            assert Flag.CUTS_CLOUD not in (population.flag or "")
            numbers += 1
    assert numbers == 4  # the fifth has 305 CD4 cells


def test_a_border_of_naive_cells_removes_the_cloud_of_a_symphony_tube_and_says_so() -> None:
    rules = "FOXP3: {by: auto, of: CD4_naive}, CD25: {by: auto, of: CD4_naive, k: 2.33}"
    tube = max(symphony(), key=len)
    assert Flag.CUTS_CLOUD in called(gates(rules), tube)[1]
