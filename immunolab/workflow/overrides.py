"""Step: gates that a reader placed, put into the gates of their tubes between placing and gating."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from immunolab.errors import nearest
from immunolab.gating.overrides import Override, overridden, stale_use
from immunolab.gating.tube_gates import OverrideUse, TubeGates
from immunolab.schema.overrides import OVERRIDES
from immunolab.workflow.panels import PanelGates, read_channels

if TYPE_CHECKING:
    from immunolab.gating.tubes import GatedTube
    from immunolab.study.sheet import Study
    from immunolab.workflow.read_tube import Prepared
    from immunolab.workflow.tasks import Failure

log = logging.getLogger("immunolab")
_COUNTED = ("n_before", "n_parent_before", "percent_before", "percent_after")


def with_overrides(
    study: Study,
    panels: Mapping[str, PanelGates],
    prepared: Mapping[str, Prepared],
    gates: Mapping[str, TubeGates],
    overrides: Sequence[Override],
) -> dict[str, TubeGates]:
    """Return the gates of every tube, with those of its reader in place of the automatic ones.

    Parameters
    ----------
    study
        Its samples.
    panels
        Gates by panel name.
    prepared
        Hash of each tube's file, by sample_id.
    gates
        As placed or drawn, by sample_id; of tubes without an override they come back as they are.
    overrides
        Of the study, in the order in which they were made.
    """
    found = dict(gates)
    own: dict[str, list[Override]] = {}
    for one in overrides:
        own.setdefault(one.sample_id, []).append(one)
    for sample in study.samples:
        name = sample.sample_id
        if name in own and name in gates:
            tube = replace(read_channels(sample.file, panels[sample.panel]), sample_id=name)
            found[name] = overridden(gates[name], own[name], tube, prepared[name].sha256)
            _say(found[name].overrides)
    return found


def _say(uses: Iterable[OverrideUse]) -> None:
    for use in uses:
        if use.status == "stale":
            log.info("override of %s, %s is stale and not used: %s", use.sample_id, use.population, use.message)
        elif use.status == "applied" and use.message:
            log.info("override of %s, %s is used: %s", use.sample_id, use.population, use.message)


def override_rows(gated: GatedTube, gates: TubeGates) -> list[dict[str, Any]]:
    """Return a tube's rows of OVERRIDES, with its percentages under the automatic gates and under those used.

    Parameters
    ----------
    gated
        The tube under the gates used.
    gates
        Those gates.
    """
    from immunolab.gating.tubes import gate_tube

    if not gates.overrides:
        return []
    after = {count.path: count for count in gated.population_counts}
    before = after
    if gates.automatic is not None:
        automatic = gate_tube(gated.tube, TubeGates(gates.automatic, thresholds=()))
        before = {count.path: count for count in automatic.population_counts}
    return [
        vars(use)
        | (
            {
                "n_before": before[use.path].n_events,
                "n_parent_before": before[use.path].n_parent,
                "percent_before": before[use.path].percent_of_parent,
                "percent_after": after[use.path].percent_of_parent,
            }
            if use.path in before and use.path in after
            else dict.fromkeys(_COUNTED)
        )
        for use in gates.overrides
    ]


def overrides_table(
    used: pd.DataFrame, overrides: Sequence[Override], study: Study, failures: Mapping[str, Failure]
) -> pd.DataFrame:
    """Return the table OVERRIDES of a study: what its tubes say of theirs, and the overrides of no tube.

    Parameters
    ----------
    used
        Rows of the samples' folders.
    overrides
        As the run read them.
    study
        Its samples.
    failures
        Samples that could not be finished.
    """
    known = set(zip(used["sample_id"], used["id"], strict=True))
    rows = [_without_tube(one, study, failures) for one in overrides if (one.sample_id, one.id) not in known]
    for row in rows:
        log.info("override of %s, %s is stale and not used: %s", row["sample_id"], row["population"], row["message"])
    return OVERRIDES.check(pd.concat([used, OVERRIDES.frame(rows)], ignore_index=True)) if rows else used


def _without_tube(one: Override, study: Study, failures: Mapping[str, Failure]) -> dict[str, Any]:
    return vars(stale_use(one, why_without_tube(one, study, failures))) | dict.fromkeys(_COUNTED)


def why_without_tube(one: Override, study: Study, failures: Mapping[str, Failure]) -> str:
    """Return why an override is of no tube that a run has gated.

    Parameters
    ----------
    one
        The override.
    study
        Its samples.
    failures
        Samples that could not be finished.
    """
    samples = {sample.sample_id: sample for sample in study.samples}
    if one.sample_id not in samples:
        meant = nearest(one.sample_id, samples)
        return f"the sheet has no sample '{one.sample_id}'{f'; {meant}' if meant else ''}"
    if one.sample_id in failures:
        return f"the sample failed: {failures[one.sample_id].error}"
    if not samples[one.sample_id].gated or samples[one.sample_id].modality == "single_cell":
        return "the sample is a control or single cells, which have no gates"
    return "the run computed other samples only: run the study without --sample"
