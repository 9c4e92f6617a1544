"""Step: the display scale of each channel, one for all tubes of a study or of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.events.scales import ChannelNoise, channel_noise, channel_scales, spread_over_batches
from immunolab.events.storage import load_tube
from immunolab.events.transforms import scale_in_words
from immunolab.gating.gate_source import Gates
from immunolab.gating.placement.scales import measured_scales, needs_scales, with_scales
from immunolab.loaders.fcs.read import read_fcs
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import MEMORY_PER_FILE_BYTE, Workers, run_tasks

if TYPE_CHECKING:
    from immunolab.study.sheet import Study
    from immunolab.workflow.panels import PanelGates
    from immunolab.workflow.read_tube import Prepared


def events_decide(gates: Gates) -> bool:
    """Whether events place any gate or choose any scale; drawn gates on named scales need none.

    Parameters
    ----------
    gates
        Of a panel.
    """
    return gates.needs_fit or (gates.declared is not None and needs_scales(gates.declared))


def scaled_panels(
    study: Study, panels: Mapping[str, PanelGates], prepared: Mapping[str, Prepared]
) -> dict[str, PanelGates]:
    """Return the panels with the scales that the stored subsamples of a study choose, at most 24 tubes a panel.

    Parameters
    ----------
    study
        Its samples; control tubes choose no scale.
    panels
        Gates by panel name.
    prepared
        Stored subsamples by sample_id; a sample that is missing here failed.
    """
    scaled = dict(panels)
    for name, panel in panels.items():
        if panel.gates.declared is None or not needs_scales(panel.gates.declared):
            continue
        batches = {
            s.sample_id: s.batch
            for s in study.samples
            if s.panel == name and not s.control_of and s.sample_id in prepared
        }
        noise = [channel_noise(load_tube(Path(prepared[s].subsample))) for s in spread_over_batches(batches)]
        declared = with_scales(panel.gates.declared, channel_scales(noise))
        scaled[name] = replace(panel, gates=replace(panel.gates, declared=declared))
    return scaled


def scaled_gates(gates: Gates, paths: Sequence[Path], pool: Workers, panel: Mapping[str, str] | None = None) -> Gates:
    """Return gates with the scales that files choose together, at most 24 of them.

    Parameters
    ----------
    gates
        A strategy may leave its scales to data.
    paths
        FCS files that are there; one that cannot be read chooses nothing.
    pool
        Reads the files.
    panel
        Markers by channel, as `read_fcs` takes them.
    """
    if gates.declared is None or not needs_scales(gates.declared):
        return gates
    chosen = spread_over_batches({str(path): "" for path in paths})
    tasks = [Task(path, "read", path, Path(path).stat().st_size * MEMORY_PER_FILE_BYTE) for path in chosen]
    found = {
        task.name: noise
        for task, noise in run_tasks(partial(_file_noise, panel=panel), tasks, pool)
        if not isinstance(noise, Failure)
    }
    scales = channel_scales(found[path] for path in chosen if path in found)
    return replace(gates, declared=with_scales(gates.declared, scales))


def _file_noise(path: str, panel: Mapping[str, str] | None) -> tuple[ChannelNoise, ...]:
    return channel_noise(read_fcs(path, panel=panel))


def scale_rows(gates: Mapping[str, Gates]) -> Iterator[dict[str, object]]:
    """Yield a row of `SCALES` for each channel whose scale data chose.

    Parameters
    ----------
    gates
        By panel name; the only panel may be "".
    """
    for panel, one in gates.items():
        for scale in measured_scales(one.declared) if one.declared else ():
            yield {
                "panel": panel or None,
                "channel": scale.name,
                "scale": scale_in_words(scale.transform),
                "reason": scale.reason,
            }
