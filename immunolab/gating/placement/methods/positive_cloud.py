"""The cloud of cells positive for a marker and its partner, such as FOXP3 and CD25, beside noise mirrored at zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Corner, Cut, Pair
from immunolab.gating.placement.density import (
    ENOUGH_EVENTS,
    FEWEST_EVENTS,
    HALF_NORMAL_MEDIAN,
    few,
    robust_sd,
    smoothed_density,
)
from immunolab.gating.placement.shared_parameters import THEN_CONTROLS
from immunolab.schema.flags import Flag

# share of noise among the cells that show where the cloud is (judgement: nine in ten are surely positive)
_BRIGHT_NOISE = 0.1
_LEAST_BRIGHT = 10  # events net of noise under which there is no cloud (judgement: a Poisson count's error is a third)
# sd of the lower half of the cloud's brighter part from its median to the partner's border (judgement, 2026-11-26:
# 2.33 let activated cells in, 1.75 lost Treg on simulated tubes of development seeds; real tubes move by a tenth)
_REACH = 2.0
# parts of the cloud, by the leading marker, that place the partner's border: its brighter half; its brightest quarter
# where the half holds cells of another kind. In three of 16 simulated tubes a third of the half were activated cells
# with a little FOXP3, which pulled CD25's border among the negative cells: Treg read 1.5 to 2.2 times too many (F1 .59
# to .73, by the quarter .83 to .88; seeds 65001 to 66036, 2026-11-27)
_BRIGHTER, _BRIGHTEST = 0.5, 0.25
# standard error of the lower end of a normal by its median and lower quartile, sd over root of the events; and how many
# such the quarter's end is above the half's where that holds other cells (judgement: three by chance once in 700)
_ERROR_OF_END, _BEYOND_CHANCE = 3.3, 3.0
# events a positive cell outweighs when one more mirrored cell comes in: a border where one more event is as likely
# noise as positive
_NOISE_WEIGHT = 2.0
# least share of events below the summit for their mirror image to be the noise (judgement: half of a symmetric
# population is; counts and scales that end at zero have next to none)
_LEAST_BELOW = 0.2
# shares of the events between which the negative summit is searched (judgement: strays below, positive cells above)
_CENTRE = (0.01, 0.9)
_MANY = 1000  # parent events from which a cloud of 1 % or more has enough cells to be seen


@dataclass(frozen=True)
class _Mirrored:
    """Events of both channels by falling distance from the negative summit on x.

    Attributes
    ----------
    summit, spread
        Of the negative cells on x.
    distance
        From the summit on x.
    y
        The partner's values.
    above
        Whether above the summit; the others are the mirror image of noise.
    is_log
        Whether x is the logarithm of what was given.
    unit
        Robust standard deviation of y: where the scale bends on which the cloud's y is even.
    """

    summit: float
    spread: float
    distance: Array
    y: Array
    above: NDArray[np.bool_]
    is_log: bool
    unit: float

    @classmethod
    def of(cls, x: Array, y: Array, is_log: bool | None = None) -> _Mirrored | None:
        """Return the events; None where x has no lower half to mirror.

        Noise around zero is even in linear units; stains whose negative cells are all above zero spread evenly on
        a logarithm. None finds out which.
        """
        low, high = np.quantile(x, _CENTRE)
        is_log = bool(low > 0) and is_log is not False
        if is_log:
            kept = x > 0
            x, y, low, high = np.log(x[kept]), y[kept], np.log(low), np.log(high)
        # on a scale that bends where the noise ends: on a linear one the summit of skewed noise is too low
        unit = robust_sd(x) or 1.0
        grid, density, _ = smoothed_density(np.arcsinh(x[(x >= low) & (x <= high)] / unit))
        summit = unit * float(np.sinh(grid[int(np.argmax(density))]))
        below = x < summit
        if np.mean(below) < _LEAST_BELOW:
            return None
        distance = np.abs(x - summit)
        order = np.argsort(-distance, kind="stable")
        spread = float(np.median(distance[below])) / HALF_NORMAL_MEDIAN
        return cls(summit, spread, distance[order], y[order], ~below[order], is_log, robust_sd(y) or 1.0)

    def value(self, distance: float) -> float:
        """Return x at a distance above the summit, as it was given."""
        return float(np.exp(self.summit + distance)) if self.is_log else self.summit + distance

    def border_over(self, weights: Array, partner: float) -> float:
        """Return x at the border among events over a border of the partner; NaN without a cloud of enough there.

        Parameters
        ----------
        weights
            How often each event counts.
        partner
            Border on y.
        """
        over = weights * (self.y > partner)
        bright = self.bright(over, 1.0)
        if bright is None or np.where(self.above[:bright], 1.0, -1.0) @ over[:bright] < ENOUGH_EVENTS:
            return np.nan
        return self.value(self._border(weights, partner))

    def borders(self, weights: Array) -> tuple[float, float] | None:
        """Return the distance of the border on x and the border on y; None without a cloud.

        Parameters
        ----------
        weights
            How often each event counts.
        """
        half, quarter = self.bright(weights, _BRIGHTER), self.bright(weights, _BRIGHTEST)
        if half is None or quarter is None:
            return None
        (end, _), (of_quarter, error) = (self._lower_end(weights, part) for part in (half, quarter))
        if quarter >= ENOUGH_EVENTS and of_quarter - end > _BEYOND_CHANCE * error:
            end = of_quarter
        border = self.unit * float(np.sinh(end))
        return self._border(weights, border), border

    def _border(self, weights: Array, border: float) -> float:
        """Return the distance where one more event over a border on y is as likely noise as positive."""
        gain = np.where(self.above, 1.0, -_NOISE_WEIGHT) * (self.y > border)
        total, variance = np.cumsum(gain * weights), np.cumsum(gain**2 * weights)
        best = int(np.argmax(total))
        # borders that counting cannot part are alike: the middle of them is the steadiest
        alike = np.flatnonzero(total[best] - total <= np.sqrt(np.abs(variance - variance[best])))
        return float(self.distance[alike[0]] + self.distance[alike[-1]]) / 2

    def _lower_end(self, weights: Array, n: int) -> tuple[float, float]:
        """Return the lower end of the furthest events on y, asinh, and its error: so many sd below their median.

        The standard deviation is that of their lower half.
        """
        y, net = self.y[:n], np.where(self.above[:n], 1.0, -1.0) * weights[:n]
        first, median = (float(np.arcsinh(_net_quantile(y, net, share) / self.unit)) for share in (0.25, 0.5))
        sd = (median - first) / HALF_NORMAL_MEDIAN
        return median - _REACH * sd, _ERROR_OF_END * sd / float(np.sqrt(n))

    def bright(self, weights: Array, part: float) -> int | None:
        """Return how many of the furthest events the brighter part of the cloud spans; None without a cloud."""
        positive = np.cumsum(weights * self.above)
        noise = np.cumsum(weights * ~self.above)
        seen = np.flatnonzero((noise <= _BRIGHT_NOISE * positive) & (positive - noise >= _LEAST_BRIGHT))
        return int(np.searchsorted(positive, part * positive[seen[-1]])) + 1 if len(seen) else None


def _net_quantile(values: Array, weights: Array, share: float) -> float:
    """Return the value under which a share of the summed weights is; noise has negative weights."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    under = np.flatnonzero(total <= share * total[-1])
    return float(values[order][under[-1] if len(under) else 0])


def cloud_draws(
    _x: Array, _y: Array, _reference: Pair | None, corner: Corner, rng: np.random.Generator, rounds: int
) -> tuple[Array, Array]:
    """Return the x and y borders of the corner's resampled events, each of length ``rounds`` or fewer."""
    cells = corner.start
    if cells is None:
        return np.empty(0), np.empty(0)
    found = [cells.borders(rng.poisson(1.0, len(cells.distance)).astype(np.float64)) for _ in range(rounds)]
    borders = np.array([(cells.value(border[0]), border[1]) for border in found if border is not None]).reshape(-1, 2)
    return borders[:, 0], borders[:, 1]


@threshold_method(
    "positive_cloud",
    wants="pair",
    control="density",
    assumes="noise of negative cells is even to both sides of their summit, and cells positive for x carry y",
    parameters=(
        Parameter("withhold", False, "", "without a cloud among 1,000 events or more: no border on x, whatever else"),
    ),
    reference="Miyara et al. 2009, Immunity 30:899 (FOXP3 with CD25); Storey and Tibshirani 2003, PNAS 100:9440",
    channels=("FOXP3", "CD25"),
    borders=True,
    linear=True,
    instead=THEN_CONTROLS,
    resample=cloud_draws,
)
def positive_cloud(x: Array, y: Array, *, withhold: bool = False, start: _Mirrored | None = None) -> Corner:
    """Return the corner x high, y high that holds the cloud of cells positive for x.

    Noise above a border on x is counted by its mirror image below the negative summit, as null statistics are for a
    false discovery rate (Storey and Tibshirani 2003). Events of x so high that a tenth at most is noise show where the
    cloud is: the border on y is two sd below the median of their brighter half, or of their brightest quarter where the
    half reaches further down than chance allows. Among the events above it, the border on x is where one more event is
    as likely noise as positive.

    Parameters
    ----------
    x
        The leading marker's events (FOXP3), instrument units.
    y
        The partner's (CD25), instrument units.
    withhold
        Whether a cloud that is not there among 1,000 events or more leaves no border on x at all.
    start
        Nearly the same events as they were arranged before: whether their noise spreads on a logarithm is kept.
    """
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], y[usable]
    cells = _Mirrored.of(x, y, start.is_log if start else None) if len(x) >= FEWEST_EVENTS else None
    found = cells.borders(np.ones(len(cells.distance))) if cells is not None else None
    if cells is None or found is None:
        none = (*few(x), Flag.NO_CORNER_CLOUD)
        ends = (Flag.NO_BORDER,) if withhold and cells is not None and len(x) >= _MANY else ()
        return Corner(Cut(np.nan, (*none, *ends)), Cut(np.nan, none), y_side="hi", flags=none)
    x_border = cells.value(found[0])
    spread = cells.spread * (x_border if cells.is_log else 1.0)
    x_cut, y_cut = Cut(x_border, few(x), spread), Cut(found[1], few(x), robust_sd(cells.y[~cells.above]))
    return Corner(x_cut, y_cut, y_side="hi", flags=few(x), start=cells)


def border_over(
    x: Array, y: Array, y_border: float, rng: np.random.Generator | None, rounds: int
) -> tuple[float, Array]:
    """Return the border on the leading marker among events over a given border of its partner, and resampled ones.

    Parameters
    ----------
    x, y
        Events of the leading marker and of its partner, instrument units.
    y_border
        Instrument units.
    rng
        Resamples the events; None leaves that out.
    rounds
        How often.

    Returns
    -------
    float, array
        Instrument units; NaN and none where fewer than 50 events net of noise are seen.
    """
    cells = _Mirrored.of(x, y) if len(x) >= FEWEST_EVENTS else None
    border = cells.border_over(np.ones(len(cells.distance)), y_border) if cells is not None else np.nan
    if cells is None or rng is None or not np.isfinite(border):
        return border, np.empty(0)
    counts = rng.poisson(1.0, (rounds, len(cells.distance))).astype(np.float64)
    again = np.array([cells.border_over(one, y_border) for one in counts])
    return border, again[np.isfinite(again)]


def share_lost(x: Array, y: Array, y_border: float) -> float:
    """Return the share of the cloud of cells positive for x, net of noise, that is under a border on y; 0 without one.

    Parameters
    ----------
    x, y
        Events of the leading marker and of its partner, instrument units.
    y_border
        Instrument units.
    """
    cells = _Mirrored.of(x, y) if len(x) >= FEWEST_EVENTS else None
    bright = cells.bright(np.ones(len(cells.distance)), 1.0) if cells is not None else None
    if cells is None or bright is None:
        return 0.0
    net = np.where(cells.above[:bright], 1.0, -1.0)
    return float(net[cells.y[:bright] < y_border].sum() / net.sum())
