"""Steps of markers between runs where channels hold unlike much light of other dyes."""

from __future__ import annotations

import numpy as np

from immunolab.quality.landmarks import without_unions
from immunolab.quality.marker_steps import MarkerStep, marker_steps
from immunolab.quality.run_variation import MarkerRuns, light_on

TUBES = np.full(7, 3.0)


def panel(seed: int, *, left: float, step: float) -> dict[str, MarkerStep]:
    """Return steps of ten markers in five populations; in M0's channel ``left`` of each dye's light is left in a run.

    The other channels have .002 of it; M1 is brighter by ``step`` from the fourth of seven runs on.
    """
    rng = np.random.default_rng(seed)
    levels = rng.uniform(0.2, 4.5, (5, 10))
    levels[:, 0] = 0.3  # none has M0
    markers = []
    for m in range(10):
        light = light_on(levels, m)
        own = rng.normal(0, left if m == 0 else 0.002, (9, 7))
        level = levels[:, [m]] * (1 + rng.normal(0, 0.05, 7)) + rng.normal(0, 0.12, 7)
        level += light @ own + rng.normal(0, 0.02, (5, 7)) + step * (m == 1) * (np.arange(7) >= 3)
        markers.append(MarkerRuns(f"M{m}", level, levels[:, m], light, np.full(5, 0.05)))
    return marker_steps(markers, TUBES, {})[0]


def test_one_channel_full_of_light_hides_no_lot_of_another_and_has_no_step_itself() -> None:
    found = [panel(seed, left=0.06, step=0.6) for seed in range(20)]
    assert sum(one["M1"].named for one in found) >= 15  # 5 where all channels were taken to hold as much
    assert not any(one["M0"].named for one in found)


def test_populations_that_hold_others_are_left_out_where_those_are_there() -> None:
    assert without_unions(["lymphocytes", "CD3", "CD4", "CD8", "B", "Th1"]) == ["CD4", "CD8", "B", "Th1"]
    assert without_unions(["CD4", "CD4_naive", "NK"]) == ["CD4_naive", "NK"]
    assert without_unions(["lymphocytes", "gate 2"]) == ["lymphocytes", "gate 2"]
