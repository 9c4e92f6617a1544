"""Whether two bridging controls, or two tubes of one, say the same of a batch."""

from __future__ import annotations

import math

from immunolab.gating.following.bridge import BridgeMoves, BridgeRefused, stain_edges
from immunolab.gating.following.bridge_checks import TOLERANCE

_BEYOND = 3.5  # standard errors of two moves' difference that are no chance over some 20 borders (normal, p .0005 each)


def disagreement(first: BridgeMoves, second: BridgeMoves) -> dict[str, str]:
    """Return marker -> how far two tubes' moves of its borders are apart, where that is more than chance and matters.

    Parameters
    ----------
    first, second
        From one batch to another, by either bridge.
    """
    found: dict[str, tuple[float, str]] = {}
    for (path, marker), (dimension, place) in stain_edges(first.before).items():
        try:
            own, other = (one.move(path.rsplit("/", 1)[0], dimension) for one in (first, second))
        except BridgeRefused:
            continue  # said where borders are to follow
        (a, error), (b, error_there) = own.at(place), other.at(place)
        limit = max(_BEYOND * math.hypot(error, error_there), TOLERANCE * own.spread)
        if math.isfinite(place) and abs(a - b) / limit > max(1.0, found.get(marker, (0.0, ""))[0]):
            names = _names(first, second)
            text = f"{marker} of {path.rsplit('/', 1)[-1]} moved by {a:+.2f} {names[0]}, by {b:+.2f} {names[1]}"
            found[marker] = abs(a - b) / limit, f"{text}: two bridging controls of one batch disagree"
    return {marker: text for marker, (_, text) in found.items()}


def _names(first: BridgeMoves, second: BridgeMoves) -> list[str]:
    """Return what tells two moves apart: their later tubes, or the earlier ones where the later is one."""
    later, earlier = ([getattr(one, side).tube.sample_id for one in (first, second)] for side in ("after", "before"))
    if later[0] != later[1]:
        return [f"in {name}" for name in later]
    return [f"from {name} to {later[0]}" for name in earlier]
