"""Truth tables from what was drawn: kinds of cells and levels, never a gate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.simulate.biology import Composition, expected_percent
from immunolab.simulate.cells import Tube
from immunolab.simulate.model import LEVELS, Model

SPINE = {"root": "", "singlets": "root", "viable": "singlets"}


def memberships(model: Model, tube: Tube) -> dict[str, NDArray[np.bool_]]:
    """Return population -> bool an event; every population below ``viable`` holds living single cells only."""
    clean = tube.singlet & tube.viable & ~tube.margin
    masks = {"root": np.ones(len(clean), dtype=bool), "singlets": tube.singlet & ~tube.margin, "viable": clean}
    for name, rule in model.truth.items():
        codes = [model.leaves.index(leaf) for leaf in model.members(rule.leaves)]
        mask = clean & np.isin(tube.leaf, codes)
        for marker, levels in rule.levels.items():
            column = tube.levels[:, model.markers.index(marker)]
            mask &= np.isin(column, [LEVELS.index(level) for level in levels])
        masks[name] = mask
    return masks


def count_rows(
    model: Model, composition: Composition, masks: dict[str, NDArray[np.bool_]], markers: tuple[str, ...]
) -> list[dict[str, object]]:
    """Return one row for each population and parent that a tube's markers can show.

    ``expected_percent`` is the percent in the blood that the events were drawn from.
    """
    rows: list[dict[str, object]] = []
    pairs = [(name, parent) for name, parent in SPINE.items() if parent]
    pairs += [(name, parent) for name, rule in model.truth.items() for parent in rule.parents]
    for name, parent in pairs:
        rule = model.truth.get(name)
        if rule and not set(rule.levels) <= set(markers):
            continue
        n, of = int(masks[name].sum()), int(masks[parent].sum())
        expected = expected_percent(model, composition, name, parent) if rule and parent in model.truth else np.nan
        percent = 100.0 * n / of if of else np.nan
        rows.append(
            {
                "population": name,
                "parent": parent,
                "n_events": n,
                "n_parent": of,
                "percent_of_parent": percent,
                "expected_percent": expected,
            }
        )
    return rows


def event_table(model: Model, tube: Tube, masks: dict[str, NDArray[np.bool_]]) -> pd.DataFrame:
    """Return one row an event in file order: kind of cell, event flags and population memberships."""
    names = [*model.leaves, "debris"]
    leaf = pd.Categorical.from_codes(np.where(tube.leaf < 0, len(names) - 1, tube.leaf).tolist(), pd.Index(names))
    flags = {"singlet": tube.singlet, "viable": tube.viable, "margin": tube.margin, "clogged": tube.clogged}
    return pd.DataFrame({"leaf": leaf, **flags, **{k: v for k, v in masks.items() if k not in SPINE}})
