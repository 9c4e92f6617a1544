"""Truth tables from what was drawn: kinds of cells and levels, never a gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.schema.tables import declared
from immunolab.simulation.biology import Composition, VirtualPatient, compose, expected_percent, typical_patient
from immunolab.simulation.cells import SimulatedTube
from immunolab.simulation.model import LEVELS, Model, Options
from immunolab.study.trial import Trial

_SPINE = {"root": "", "singlets": "root", "viable": "singlets"}
Masks = Mapping[str, NDArray[np.bool_]]


def memberships(model: Model, tube: SimulatedTube) -> dict[str, NDArray[np.bool_]]:
    """Return population -> bool an event; every population below ``viable`` holds living single cells only.

    Parameters
    ----------
    model
        Rules of the true populations.
    tube
        Events with their leaf and their level of each marker.
    """
    single = tube.singlet & ~tube.margin
    masks = {"root": np.ones(len(single), dtype=bool), "singlets": single, "viable": single & tube.viable}
    for name, rule in model.truth.items():
        # looked up by code; debris has code -1 and finds the last, false entry
        among = np.array([*(leaf in model.members(rule.leaves) for leaf in model.leaves), False])
        mask = masks["viable"] & among[tube.leaf]
        for marker, levels in rule.levels.items():
            wanted = np.array([level in levels for level in LEVELS])
            mask &= wanted[tube.levels[:, model.markers.index(marker)]]
        masks[name] = mask
    return masks


@dataclass
class TruthTables:
    """Gathers the truth of a study, sample by sample, and writes it."""

    model: Model
    _populations: list[dict[str, object]] = field(default_factory=list)
    _samples: list[dict[str, object]] = field(default_factory=list)
    _leaves: list[dict[str, object]] = field(default_factory=list)

    def add(
        self,
        who: Mapping[str, object],
        tube: SimulatedTube,
        masks: Masks,
        blood: Composition,
        markers: Sequence[str],
        faults: str,
    ) -> None:
        """Add one tube.

        Parameters
        ----------
        who
            Columns of truth/samples.csv that name the sample; sample_id, patient_id and visit at least.
        tube, masks, blood
            Its events, their memberships, and the composition they were drawn from.
        markers
            Those the tube can show: populations that need others are left out.
        faults
            In words.
        """
        key = {name: who[name] for name in ("sample_id", "patient_id", "visit")}
        self._populations += [{**key, **row} for row in self._counts(masks, blood, markers)]
        doses = {f"pd_{name}": value for name, value in blood.pd.items()}
        count = {"lymphocytes_per_ul": blood.lymphocytes_per_ul}
        self._samples.append({**who, **count, **doses, "n_events": len(tube.leaf), "faults": faults})
        cd4 = {name: blood.leaves[self.model.leaves.index(name)] for name in self.model.cd4_leaves}
        total = sum(cd4.values())
        self._leaves += [{**key, "leaf": name, "percent_of_CD4": 100 * w / total} for name, w in cd4.items()]

    def _counts(self, masks: Masks, blood: Composition, markers: Sequence[str]) -> list[dict[str, object]]:
        pairs = [(name, parent) for name, parent in _SPINE.items() if parent]
        pairs += [
            (name, parent)
            for name, rule in self.model.truth.items()
            for parent in rule.parents
            if set(rule.levels) <= set(markers)
        ]
        rows = []
        for name, parent in pairs:
            n, of = int(masks[name].sum()), int(masks[parent].sum())
            in_blood = name in self.model.truth and parent in self.model.truth
            rows.append(
                {
                    "population": name,
                    "parent": parent,
                    "n_events": n,
                    "n_parent": of,
                    "percent_of_parent": 100.0 * n / of if of else np.nan,
                    "expected_percent": expected_percent(self.model, blood, name, parent) if in_blood else np.nan,
                }
            )
        return rows

    def event_table(self, tube: SimulatedTube, masks: Masks) -> pd.DataFrame:
        """Return one row an event in file order: kind of cell, event flags and population memberships.

        Parameters
        ----------
        tube
            Its events, in file order.
        masks
            True population to its events, bool.
        """
        names = [*self.model.leaves, "debris"]
        codes = np.where(tube.leaf < 0, len(names) - 1, tube.leaf).tolist()
        flags = {"singlet": tube.singlet, "viable": tube.viable, "margin": tube.margin, "clogged": tube.clogged}
        shown = {name: mask for name, mask in masks.items() if name not in _SPINE}
        return pd.DataFrame({"leaf": pd.Categorical.from_codes(codes, pd.Index(names)), **flags, **shown})

    def write(self, folder: Path, people: Sequence[VirtualPatient], expected: pd.DataFrame) -> None:
        """Write populations.csv, samples.csv, leaves.csv, patients.csv and folds.csv.

        Parameters
        ----------
        folder
            Must exist.
        people
            Virtual patients, in the order of the rows.
        expected
            The true fold changes.
        """
        patients = [
            {
                "patient_id": patient.patient_id,
                "responder": patient.responder,
                **{f"response_{name}": value for name, value in patient.response.items()},
                **{f"log_weight_{name}": value for name, value in patient.weights.items()},
            }
            for patient in people
        ]
        frames = {"populations": self._populations, "samples": self._samples, "leaves": self._leaves}
        for name, rows in {**frames, "patients": patients}.items():
            _write(name, pd.DataFrame(rows), folder)
        _write("folds", expected, folder)


def _write(name: str, frame: pd.DataFrame, folder: Path) -> None:
    declared(f"truth/{name}").write_as_given(frame, folder / f"{name}.csv", float_format="%.8g")


def folds(model: Model, trial: Trial, baseline: str, options: Options) -> pd.DataFrame:
    """Return the fold of each subset endpoint that a patient without any deviation would show.

    Parameters
    ----------
    model, trial, baseline, options
        Cells and drug, the design, the key of the composition before treatment, and factors on the effect.

    Returns
    -------
    DataFrame
        Rows of `schema.simulation.TRUE_FOLDS`.
    """
    rows = []
    typical = typical_patient(model)
    for endpoint in trial.expanded_endpoints():
        if endpoint.share is None or not set(endpoint.share) <= set(model.truth) or endpoint.registered is None:
            continue
        population, parent = endpoint.share
        before, after = (
            expected_percent(
                model,
                compose(model, baseline, typical, trial.visit(name).target_day, trial.dosing.days, options),
                population,
                parent,
            )
            for name in endpoint.registered
        )
        rows.append(
            {
                "endpoint": endpoint.id,
                "population": population,
                "parent": parent,
                "visit_before": endpoint.registered[0],
                "visit_after": endpoint.registered[1],
                "percent_before": before,
                "percent_after": after,
                "expected_fold": after / before,
            }
        )
    return pd.DataFrame(rows)
