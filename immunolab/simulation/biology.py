"""Composition of the blood: patients, visits and what the drug does to them.

Leaves of CD4 have logistic-normal weights: log weight = log baseline + patient + visit + effect x (1 + r) x PD,
renormalised to one, where PD sums the fading effect of all doses given so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.simulation.model import LEVELS, Kernel, Model, Options


@dataclass(frozen=True)
class VirtualPatient:
    """One virtual patient.

    Attributes
    ----------
    patient_id
        Code in the sheet.
    responder
        False when the drug has no effect on the patient.
    response
        Kernel -> r; the effect is multiplied by 1 + r.
    weights
        Log weight of each leaf and lineage relative to the cohort's baseline.
    lymphocytes
        Lymphocyte count relative to the cohort's median, in sd of the log.
    """

    patient_id: str
    responder: bool
    response: Mapping[str, float]
    weights: Mapping[str, float]
    lymphocytes: float


@dataclass(frozen=True)
class Composition:
    """Expected shares of one sample.

    Attributes
    ----------
    leaves
        Share of each leaf among all leukocytes, in the order of `Model.leaves`; sums to 1.
    level_shares
        Leaves x markers x levels.
    intensity
        (marker, leaves, asinh shift) the drug causes.
    lymphocytes_per_ul
        Blood count.
    pd
        Kernel -> PD at the sample's day, capped.
    """

    leaves: NDArray[np.float64]
    level_shares: NDArray[np.float64]
    intensity: tuple[tuple[str, tuple[str, ...], float], ...]
    lymphocytes_per_ul: float
    pd: Mapping[str, float]


def impulse(kernel: Kernel, rise_days: float, day: float, doses: Sequence[int]) -> float:
    """Return the summed effect, on a study day, of the doses given before that day (not on it).

    Parameters
    ----------
    kernel, rise_days
        How the effect of a dose fades, and the time constant of its rise.
    day, doses
        Study days.
    """
    since = np.array([day - dose for dose in doses if dose < day], dtype=float)
    return float(np.sum((1.0 - np.exp(-since / rise_days)) * np.exp(-since / kernel.decay_days)))


def pharmacodynamics(model: Model, kernel_name: str, day: float, doses: Sequence[int]) -> float:
    """Return the pharmacodynamic effect on a study day: 1 at the kernel's unit day, capped.

    Parameters
    ----------
    model, kernel_name
        The drug, and which of its effects.
    day, doses
        Study days.
    """
    kernel, rise = model.treatment.kernels[kernel_name], model.treatment.rise_days
    unit = impulse(kernel, rise, kernel.unit_day, kernel.unit_doses)
    return min(impulse(kernel, rise, day, doses) / unit, model.treatment.cap)


def baseline_weights(model: Model, baseline: str) -> dict[str, float]:
    """Return the expected share of each CD4 leaf before treatment, in percent before normalising."""
    mixture = model.baselines[baseline]
    factors = mixture.get("factors", {})
    return {
        name: (mixture.get("health", 0.0) * leaf.health + mixture.get("lupus", 0.0) * leaf.lupus) * factors.get(name, 1)
        for name, leaf in model.cd4_leaves.items()
    }


def draw_patient(model: Model, patient_id: str, rng: np.random.Generator) -> VirtualPatient:
    """Draw what stays with a patient over all visits.

    Parameters
    ----------
    model
        Spread of patients, and how often the drug does nothing.
    patient_id
        Written into the record.
    rng
        The patient's own generator.
    """
    responder = bool(rng.random() >= model.treatment.non_responders)
    response = {k: float(rng.normal(0, v.response_sd)) for k, v in model.treatment.kernels.items()}
    weights = {name: float(rng.normal(0, leaf.sd_patient)) for name, leaf in model.cd4_leaves.items()}
    weights |= {name: float(rng.normal(0, sd)) for name, sd in model.sd_log_patient.items()}
    response = response if responder else dict.fromkeys(response, -1.0)
    return VirtualPatient(patient_id, responder, response, weights, float(rng.normal()))


def typical_patient(model: Model) -> VirtualPatient:
    """Return the patient without any deviation: expected values follow from it."""
    return VirtualPatient("", True, dict.fromkeys(model.treatment.kernels, 0.0), {}, 0.0)


def compose(
    model: Model,
    baseline: str,
    patient: VirtualPatient,
    day: float,
    doses: Sequence[int],
    options: Options,
    rng: np.random.Generator | None = None,
) -> Composition:
    """Return a patient's blood on a study day.

    Parameters
    ----------
    model, baseline
        Cells and drug, and the key of the composition before treatment.
    patient, day, doses
        Who, on which study day, after doses on which days.
    options
        Factors on the drug's effect and on the variation between visits.
    rng
        Of this visit; None for no variation between visits.
    """
    strength = 0.0 if options.null else options.effect
    pd = {name: pharmacodynamics(model, name, day, doses) for name in model.treatment.kernels}
    response = {name: pd[name] * (1.0 + patient.response[name]) for name in pd}

    def noise(sd: float) -> float:
        return 0.0 if rng is None else float(rng.normal(0, sd)) * options.visit_noise

    weights = {}
    for name, share in baseline_weights(model, baseline).items():
        leaf = model.cd4_leaves[name]
        effect = strength * leaf.effect * response.get(leaf.kernel, 0.0)
        weights[name] = share * np.exp(patient.weights.get(name, 0.0) + noise(leaf.sd_visit) + effect)
    count = _lymphocyte_count(model, baseline, patient, strength * response["fast"], noise)
    intensity_strength = 0.0 if options.null else options.intensity_effect
    return Composition(
        leaves=_all_leaves(model, weights, patient, strength * model.nk_effect * response["fast"]),
        level_shares=_level_shares(model, intensity_strength * response[model.treatment.cycling.kernel]),
        intensity=tuple(
            (s.marker, s.leaves, intensity_strength * s.shift * response[s.kernel]) for s in model.treatment.intensity
        ),
        lymphocytes_per_ul=count,
        pd=pd,
    )


def _lymphocyte_count(
    model: Model, baseline: str, patient: VirtualPatient, response: float, noise: Callable[[float], float]
) -> float:
    settings, mixture = model.lymphocytes_per_ul, model.baselines[baseline]
    share = mixture.get("lupus", 0.0)
    (median_a, sd_a), (median_b, sd_b) = settings["health"], settings["lupus"]
    log_median = (1 - share) * np.log(median_a) + share * np.log(median_b)
    deviation = patient.lymphocytes * ((1 - share) * sd_a + share * sd_b)
    return float(np.exp(log_median + deviation + noise(settings["visit_sd_log"]) + settings["effect"] * response))


def _split(shares: Mapping[str, float], patient: VirtualPatient, effects: Mapping[str, float]) -> dict[str, float]:
    weights = {k: v * np.exp(patient.weights.get(k, 0.0) + effects.get(k, 0.0)) for k, v in shares.items()}
    total = sum(weights.values())
    return {k: float(v / total) for k, v in weights.items()}


def _all_leaves(model: Model, cd4: Mapping[str, float], patient: VirtualPatient, nk: float) -> NDArray[np.float64]:
    lymphocytes = _split(model.lymphocytes, patient, {"nk": nk})
    t_cells = _split(model.CD3, patient, {})
    total = sum(cd4.values())
    shares = {**model.leukocytes}
    lymphoid = shares.pop("lymphocytes")
    shares |= {name: lymphoid * share for name, share in lymphocytes.items() if name != "CD3"}
    t_share = lymphoid * lymphocytes["CD3"]
    shares |= {name: t_share * share for name, share in t_cells.items() if name != "CD4"}
    shares |= {name: t_share * t_cells["CD4"] * weight / total for name, weight in cd4.items()}
    return np.array([shares[name] for name in model.leaves])


def _level_shares(model: Model, cycling: float) -> NDArray[np.float64]:
    shares = model.level_shares.copy()
    rule = model.treatment.cycling
    column, positive = model.markers.index(rule.marker), LEVELS.index("pos")
    for name in rule.leaves:
        row = shares[model.leaves.index(name), column]
        odds = row[positive] / (1.0 - row[positive]) * np.exp(rule.logit * cycling)
        row[:] = 0.0
        row[positive], row[0] = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    return shares


def share_in_leaves(model: Model, composition: Composition, population: str) -> NDArray[np.float64]:
    """Return, for each leaf, the share of its cells that belong to a true population.

    Parameters
    ----------
    model
        Defines populations, leaves and markers.
    composition
        Expected shares of one sample.
    population
        A population of the truth.

    Returns
    -------
    array
        0..1, in the order of `Model.leaves`.
    """
    rule = model.truth[population]
    shares = np.zeros(len(model.leaves))
    for name in model.members(rule.leaves):
        index = model.leaves.index(name)
        shares[index] = 1.0
        for marker, levels in rule.levels.items():
            row = composition.level_shares[index, model.markers.index(marker)]
            shares[index] *= row[[LEVELS.index(level) for level in levels]].sum()
    return shares


def expected_percent(model: Model, composition: Composition, population: str, parent: str) -> float:
    """Return the expected percent of a parent, both populations of the truth.

    Parameters
    ----------
    model
        Defines populations and leaves.
    composition
        Expected shares of one sample.
    population, parent
        Populations of the truth.

    Returns
    -------
    float
        0..100.
    """
    share, whole = (composition.leaves @ share_in_leaves(model, composition, name) for name in (population, parent))
    return float(100.0 * share / whole)
