"""CD69 by default rules: planted resting and stimulated tubes, and the stored gates of a mouse activation study."""

from __future__ import annotations

from dataclasses import replace

import cytoexplorer
import numpy as np
import pandas as pd
import pytest
from builders import data_folder

from immunolab.config import parse_yaml
from immunolab.events.tube import Channel, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.placement.fit import fit
from immunolab.gating.strategy import Strategy
from immunolab.gating.strategy_file import parse_strategy
from immunolab.loaders.fcs.read import read_fcs

COFACTORS = (None, 150, 1000)
SIGNS = {"neg": "-", "pos": "+"}


def gates(cofactor: int | None) -> Strategy:
    scale = "" if cofactor is None else f"transform: {{default: {{asinh: {{cofactor: {cofactor}}}}}}}\n"
    return parse_strategy(
        parse_yaml(f"strategy: a\n{scale}populations:\n  - {{name: CD69pos, parent: root, where: CD69+}}\n")
    )


def percents(strategy: Strategy, tubes: list[Tube]) -> list[float]:
    fitted = fit(strategy, tubes)
    return [100 * float(evaluate(fitted.strategies[t.sample_id], t).masks["/CD69pos"].mean()) for t in tubes]


def planted(share: float, name: str, seed: int) -> Tube:
    """T cells with noise of 500 units around a background of 600, and activated ones that smear up to it."""
    rng = np.random.default_rng(seed)
    n = 3_000
    values = rng.normal(600, 500, n)
    activated = rng.random(n) < share
    values[activated] += 1_800 + rng.gamma(2.0, 2_000, activated.sum())
    columns = np.array([values], dtype=np.float32)
    return Tube(columns, (Channel("7-AAD-A", "CD69", "CD69"),), sample_id=name)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("cofactor", COFACTORS)
def test_induction_from_almost_none_to_a_third_is_kept(cofactor: int | None, together: bool) -> None:
    shares = (0.002, 0.005, 0.05, 0.30)
    tubes = [planted(share, f"S{i}", i) for i, share in enumerate(shares)]
    strategy = gates(cofactor)
    found = percents(strategy, tubes) if together else [percents(strategy, [tube])[0] for tube in tubes]
    assert np.abs(np.array(found) - 100 * np.array(shares)).max() < 3
    assert found[1] < found[2] < found[3]


def test_noise_around_zero_is_no_valley_and_the_display_moves_no_border() -> None:
    tube = replace(planted(0.03, "S1", 5), columns=planted(0.03, "S1", 5).columns - 400)
    found = [percents(gates(cofactor), [tube])[0] for cofactor in COFACTORS]
    assert max(found) < 6
    assert np.ptp(found) < 0.2


def test_a_ripple_among_activated_cells_is_no_border() -> None:
    """Resting cells, cells on their way, and the brightest: a shallow valley between the last two."""
    rng = np.random.default_rng(11)
    resting, on_their_way = rng.normal(400, 500, 3_500), np.exp(rng.normal(7.6, 0.5, 400))
    bright = np.exp(rng.normal(9.1, 0.35, 200))
    values = np.concatenate([resting, on_their_way, bright])
    tube = Tube(np.array([values], dtype=np.float32), (Channel("7-AAD-A", "CD69", "CD69"),), sample_id="S1")
    fitted = fit(gates(None), [tube])
    assert fitted.records["S1"][0].threshold_raw < 3_500  # the ripple is at 4,900, beyond nine in ten on their way
    assert "no_valley" in fitted.strategies["S1"]["CD69pos"].flag


@pytest.mark.parametrize(("place", "in_doubt"), [(0.0, False), (9_000.0, True)])
def test_what_is_below_a_hump_at_zero_is_negative_whatever_is_above(place: float, in_doubt: bool) -> None:
    """The gate of CD69- cells is not in doubt where they carry nothing; that of the few above them is."""
    rng = np.random.default_rng(12)
    values = place + np.concatenate([rng.normal(0, 300, 3_000), rng.gamma(2.0, 400, 100)])
    tube = Tube(np.array([values], dtype=np.float32), (Channel("7-AAD-A", "CD69", "CD69"),), sample_id="S1")
    text = "strategy: a\npopulations:\n"
    text += "".join(f"  - {{name: CD69{name}, parent: root, where: CD69{sign}}}\n" for name, sign in SIGNS.items())
    placed = fit(parse_strategy(parse_yaml(text)), [tube]).strategies["S1"]
    assert ("no_valley" in placed["CD69neg"].flag) == in_doubt
    assert "no_valley" in placed["CD69pos"].flag


def test_tubes_of_a_batch_share_one_border_of_cd69() -> None:
    tubes = [planted(share, f"S{i}", i) for i, share in enumerate((0.01, 0.2))]
    fitted = fit(gates(None), tubes, groups={f"S{i}": {"patient": f"P{i}", "batch": "b"} for i in range(2)})
    rows = [row for rows in fitted.records.values() for row in rows]
    assert {row.scope for row in rows} == {"batch"}
    assert len({row.threshold for row in rows}) == 1


@pytest.fixture(scope="module")
def stored() -> dict[str, list[tuple[Tube, float]]]:
    """The T cells of each lineage in four tubes, by the gates that their authors stored, and their percent CD69+."""
    place = data_folder("flow/cytoexplorer_activation")
    strategy = parse_strategy(parse_yaml(cytoexplorer.strategy_text(place)))
    counts = pd.read_csv(place / "reference_counts.csv")
    counts = counts.assign(name=counts["path"].str.rsplit("/", n=1).str[-1]).set_index(["file", "name"])["count"]
    cells: dict[str, list[tuple[Tube, float]]] = {"CD4": [], "CD8": []}
    for path in sorted(place.glob("*.fcs")):
        tube = read_fcs(path, sample_id=path.stem, panel=place / "Activation-Experiment-Markers.csv")
        masks = evaluate(strategy, tube).masks
        for lineage, found in cells.items():
            inside = next(mask for at, mask in masks.items() if at.endswith(f"/{lineage} T Cells"))
            percent = 100 * counts[path.name, f"CD69+ {lineage} T Cells"] / counts[path.name, f"{lineage} T Cells"]
            found.append((tube.take(inside), float(percent)))
    return cells


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("cofactor", COFACTORS)
@pytest.mark.parametrize("lineage", ["CD4", "CD8"])
def test_cd69_is_within_three_points_of_the_stored_gates(
    stored: dict[str, list[tuple[Tube, float]]], lineage: str, cofactor: int | None, together: bool
) -> None:
    tubes, theirs = (list(column) for column in zip(*stored[lineage], strict=True))
    strategy = gates(cofactor)
    found = percents(strategy, tubes) if together else [percents(strategy, [tube])[0] for tube in tubes]
    assert np.abs(np.array(found) - np.array(theirs)).max() < 3
    assert np.corrcoef(found, theirs)[0, 1] > 0.9
