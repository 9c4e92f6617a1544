"""A tube's run over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from immunolab.pl.subject import subject
from immunolab.plots.steadiness import draw_steadiness
from immunolab.quality.steadiness import steadiness as look_through

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.events.tube import Tube
    from immunolab.gating.tubes import GatedTube


def steadiness(data: Tube | GatedTube, *, ax: Axes | None = None) -> Axes:
    """Draw a tube's run over time: the level of every channel, the rate above it, and what is cut in red.

    Lines are a channel's shift from the run's level, SD of a population; those that move most are in colour, dotted
    lines are the shift from which on a stretch is cut. ``tube.clean()`` drawn the same way is the run after cutting.

    Parameters
    ----------
    data
        A tube, or a gated tube.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        Seconds against SD; events where the file has no Time channel.

    Raises
    ------
    InputError
        It is no tube.
    """
    tube = subject(data).tube
    return draw_steadiness(tube, look_through(tube), ax=ax)
