"""Pixels of the main kinds of figures: ink of the right colour is where the tables say, and none where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import report_fixture
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from immunolab.plots.change import waterfall
from immunolab.plots.labels import labels
from immunolab.plots.matrices import heatmap_of_change
from immunolab.plots.paired import paired_lines
from immunolab.plots.proportions import responders_over_visits
from immunolab.plots.style import SUBSET_COLOURS, figure
from immunolab.schema.clinical import RESPONDERS

_NEAR = 0.12  # of a colour's distance (0..1.7): edges are blended with what is beside them


@pytest.fixture(scope="module")
def frames():
    return report_fixture.tables()


class Picture:
    """A drawn axes as pixels, asked by the axes' own coordinates."""

    def __init__(self, ax: Axes) -> None:
        canvas = FigureCanvasAgg(ax.figure)
        canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255.0
        self.ax = ax

    def share(self, x: float, y: float, tint: str, radius: int = 1) -> float:
        """Return the share of the pixels about a place that have a colour."""
        across, up = self.ax.transData.transform((x, y))
        row, column = self.pixels.shape[0] - 1 - round(up), round(across)
        seen = self.pixels[row - radius : row + radius + 1, column - radius : column + radius + 1]
        return float((np.abs(seen - to_rgb(tint)).sum(axis=-1) < _NEAR).mean())


def _treg(frames, **changes):
    pairs = frames["pairs"].query("endpoint == 'treg_pct_cd4'").dropna(subset=["shift"])
    return pairs.assign(**changes)


def test_bars_of_a_waterfall_end_at_the_change_and_a_response_has_one_colour(frames):
    pairs, named = _treg(frames), labels(frames["endpoints"])["treg_pct_cd4"]
    heights = np.sort(pairs["shift"].to_numpy(float) / np.log(2))[::-1]
    order = pairs.sort_values("shift", ascending=False)["patient_id"].tolist()
    everyone = dict.fromkeys(order, "responder")
    some = everyone | {order[0]: "no responder"}
    for response in (everyone, some):
        ax = waterfall(pairs, named, response=response, ax=figure().add_subplot())
        seen, room = Picture(ax), 0.02 * np.diff(ax.get_ylim())[0]
        for place, (patient, height) in enumerate(zip(order, heights, strict=True)):
            tint = "#009E73" if response[patient] == "responder" else "#D55E00"
            assert seen.share(place, height - np.sign(height) * room, tint) == 1
            assert seen.share(place, height + np.sign(height) * room, "white") == 1


def test_each_patient_s_values_are_where_both_visits_have_them(frames):
    rows = frames["endpoints"].query("endpoint == 'treg_pct_cd4'")
    ax = paired_lines(rows, frames["pairs"], frames["shifts"], "treg_pct_cd4", names=False, ax=figure().add_subplot())
    seen = Picture(ax)
    pairs = _treg(frames)
    for place, side in ((0, "before"), (1, "after")):
        for value in pairs[side].astype(float):
            assert max(seen.share(place, value, tint) for tint in (SUBSET_COLOURS["Treg"], "black")) > 0.5
        assert seen.share(place, 0.5 * pairs[side].astype(float).min(), "white") == 1


def test_a_share_of_responders_and_its_limits_are_at_their_percentages():
    stated = {"cohort": "SLE", "score": "SRI_4", "criterion": "responder", "verified": "yes", "n_patients": 10}
    shares = {"W4": (2, 20.0, 2.5, 55.6), "W10": (7, 70.0, 34.8, 93.3)}
    rows = RESPONDERS.frame(
        stated
        | {"visit": visit, "n_evaluable": 10, "n_responders": n, "percent": percent, "ci_low": low, "ci_high": high}
        | {"n_not_evaluable": 0, "n_not_seen": 0, "percent_worst_case": percent}
        | {"worst_case_ci_low": low, "worst_case_ci_high": high}
        for visit, (n, percent, low, high) in shares.items()
    )
    ax = responders_over_visits(rows, ax=figure().add_subplot())
    seen = Picture(ax)
    tint = ax.lines[0].get_color() if ax.lines else ax.collections[0].get_edgecolor()[0]
    for place, (_, percent, low, high) in enumerate(shares.values()):
        assert seen.share(place, percent, tint) == 1
        for inside, beyond in ((low + 2, low - 2), (high - 2, high + 2)):
            assert seen.share(place, inside, "white", 2) < 1
            assert seen.share(place, beyond, "white") == 1


def test_cells_of_the_heat_map_are_on_the_side_of_their_change(frames):
    ax = heatmap_of_change(frames["pairs"], labels(frames["endpoints"]), ax=figure().add_subplot())
    seen, image = Picture(ax), ax.images[0]
    values = image.get_array()
    for row, column in np.ndindex(values.shape):
        across, up = ax.transData.transform((column + 0.3, row + 0.3))  # beside the mark in its middle
        red, _, blue = seen.pixels[seen.pixels.shape[0] - 1 - round(up), round(across)]
        if not values.mask[row, column] and abs(values[row, column]) > 0.3 * image.get_clim()[1]:
            assert (blue > red) == (values[row, column] > 0)
