"""One tube in two gatings: the counts of a population side by side, and their events in common."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.concordance import cohen_kappa
from immunolab.comparison.gating_agreement import shared_table
from immunolab.gating.tubes import GatedTube
from immunolab.schema.flags import split

Mask = NDArray[np.bool_]


def counted_twice(sample: str, a: Mapping[str, object], b: Mapping[str, object]) -> dict[str, object]:
    """Return the part of a row of `GATING_PAIRS` that counts say.

    Parameters
    ----------
    sample
        Its sample_id.
    a, b
        The population's row of `COUNTS` in either gating.
    """
    first, second = _number(a["percent_of_parent"]), _number(b["percent_of_parent"])
    flags = [word for row in (a, b) for word in split(row.get("flag"))]
    return {
        "sample_id": sample,
        "population": a["population"],
        "path_a": a["path"],
        "path_b": b["path"],
        "n_a": a["n_events"],
        "n_b": b["n_events"],
        "n_parent_a": _parent(a),
        "n_parent_b": _parent(b),
        "percent_a": first,
        "percent_b": second,
        "difference": second - first,
        "ratio": second / first if first > 0 and second > 0 else None,
        "flag": ";".join(dict.fromkeys(flags)) or None,
    }


def _parent(row: Mapping[str, object]) -> object:
    """Return the parent's count; None where it is below the population's own: the parent was not counted."""
    return row["n_parent"] if _number(row["n_parent"]) >= _number(row["n_events"]) else None


def _number(value: object) -> float:
    return float("nan") if value is None or pd.isna(value) else float(str(value))


def events_in_common(gated: tuple[GatedTube, GatedTube], path_a: str, path_b: str) -> dict[str, object]:
    """Return what two gatings have in common of a population, event by event: the rest of a row of `GATING_PAIRS`.

    Parameters
    ----------
    gated
        The tube in either gating; both of the same file.
    path_a, path_b
        The population's paths.
    """
    a, b = in_file(gated[0], path_a), in_file(gated[1], path_b)
    parents = in_file(gated[0], _above(path_a)) & in_file(gated[1], _above(path_b))
    both, n_a, n_b = (int(np.count_nonzero(mask)) for mask in (a & b, a, b))
    n, n_a_shared, n_b_shared = (int(np.count_nonzero(mask)) for mask in (parents, a & parents, b & parents))
    kappa = cohen_kappa(shared_table(n, n_a_shared, n_b_shared, both)).value
    return {
        "n_both": both,
        "n_both_parents": n,
        "n_a_shared": n_a_shared,
        "n_b_shared": n_b_shared,
        "f1": 2 * both / (n_a + n_b) if n_a + n_b else None,
        "kappa": kappa,
    }


def _above(path: str) -> str:
    return path.rsplit("/", 1)[0]


def in_file(gated: GatedTube, path: str) -> Mask:
    """Return which events of the file are in a population; none that were cut before gating.

    Parameters
    ----------
    gated
        The tube.
    path
        Of the population; empty for all events.
    """
    mask = gated.memberships.masks[path] if path else np.ones(len(gated.tube), dtype=np.bool_)
    return gated.tube.in_file(mask)
