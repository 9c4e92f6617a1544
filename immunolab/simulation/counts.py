"""Endpoints of a virtual trial straight from the drawn cells: no tube, no file, no gate.

For studying statistics over hundreds of seeds, where writing files would only cost time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.simulation.biology import Composition, share_in_leaves
from immunolab.simulation.model import Model, Options, load_model
from immunolab.simulation.schedule import CELLS, generator
from immunolab.simulation.virtual_trial import VirtualTrial, chosen_visits
from immunolab.study.trial import load_trial


def simulate_counts(
    trial_id: str | Path,
    *,
    patients: int,
    seed: int,
    visits: tuple[str, ...] = (),
    events: int = 30_000,
    null: bool = False,
    options: Options | None = None,
) -> pd.DataFrame:
    """Return what a perfect gate would count in every sample of a virtual trial.

    The patients and their blood are those of `simulate` with the same arguments.

    Parameters
    ----------
    trial_id, patients, seed, visits, null, options
        As in `simulate`.
    events
        Living single leukocytes counted in every sample.

    Returns
    -------
    DataFrame
        One row a sample and subset endpoint: patient_id, cohort, visit, study_day, endpoint, population, parent,
        value (percent), n_events, n_parent.
    """
    trial, model = load_trial(trial_id), load_model()
    options = replace(options or Options(), null=null, truth_events=False)
    study = VirtualTrial(model, trial, options, seed, chosen_visits(trial, visits), patients)
    people = study.people
    shares = {e.id: e.share for e in trial.expanded_endpoints() if e.share and set(e.share) <= set(model.truth)}
    rows = []
    for bleed in study.attended(study.visits):
        blood, rng = study.blood(bleed), generator(seed, CELLS, *bleed.key)
        cells = rng.multinomial(events, blood.leaves)
        for endpoint, (population, parent) in shares.items():
            n, of = _count(model, blood, cells, (population, parent), rng)
            rows.append(
                {
                    "patient_id": people[bleed.patient].patient_id,
                    "cohort": study.cohort.upper(),
                    "visit": bleed.visit.name,
                    "study_day": bleed.day,
                    "endpoint": endpoint,
                    "population": population,
                    "parent": parent,
                    "value": 100.0 * n / of if of else np.nan,
                    "n_events": n,
                    "n_parent": of,
                }
            )
    return pd.DataFrame(rows)


def _count(
    model: Model, blood: Composition, cells: NDArray[np.int64], share: tuple[str, str], rng: np.random.Generator
) -> tuple[int, int]:
    within, around = (share_in_leaves(model, blood, name) for name in share)
    parent = rng.binomial(cells, around)
    inside = np.divide(within, around, out=np.zeros_like(within), where=around > 0)
    return int(rng.binomial(parent, np.minimum(inside, 1.0)).sum()), int(parent.sum())
