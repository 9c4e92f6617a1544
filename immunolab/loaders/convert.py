"""FCS to AnnData under the events contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.events.storage import to_anndata
from immunolab.events.transforms import Asinh, Logicle, Transform
from immunolab.events.tube import MASS_COFACTOR
from immunolab.loaders.fcs.read import FcsChannel, FcsHeader, read_fcs, read_header
from immunolab.schema.files import write_atomically
from immunolab.vocabulary.panel import resolve_label

_USUAL_TOP = 262_144.0  # 18 bits, the top of most instruments' scale


def default_scales(header: FcsHeader) -> dict[str, Transform]:
    """Return a display scale for each channel that deserves one.

    Fluorescence gets a logicle (w 0.5, m 4.5, a 0) whose top is the channel's own range on the linear
    scale, mass channels arcsinh with cofactor 5; scatter, time and other channels stay linear.
    """
    scales: dict[str, Transform] = {}
    for channel in header.channels:
        kind = resolve_label(channel.label, channel.name).kind
        if kind == "mass":
            scales[channel.name] = Asinh(MASS_COFACTOR)
        elif kind == "fluorescence":
            scales[channel.name] = Logicle(t=_top(channel))
    return scales


def _top(channel: FcsChannel) -> float:
    decades, at_zero = channel.amplification
    if decades:
        return at_zero * 10.0**decades
    return channel.range / channel.gain if channel.range > 1 else _USUAL_TOP


def convert_fcs(path: str | Path, out: str | Path, *, dataset: int = 0, panel: Mapping[str, str] | None = None) -> Path:
    """Write an FCS file as h5ad under the events contract and return the path written.

    ``X`` is compensated with the file's own matrix and on the scales of `default_scales`;
    ``layers["compensated"]`` is compensated and linear.

    Parameters
    ----------
    path
        An FCS file.
    out
        The h5ad file; replaced when it exists.
    dataset
        Which data set of the file, counted from 0.
    panel
        Markers by channel name; they win over the labels in the file.

    Raises
    ------
    InputError
        ``out`` does not end in .h5ad, or is the input itself.
    DataFileError
        The file cannot be read right.
    """
    path, out = Path(path), Path(out)
    if out.suffix != ".h5ad" or out.resolve() == path.resolve():
        raise InputError(Problem(str(out), "", "the output must be an .h5ad file", "give -o NAME.h5ad"))
    header = read_header(path, dataset=dataset)
    events = read_fcs(path, dataset=dataset, panel=panel, sample_id=path.stem)
    adata = to_anndata(events, default_scales(header))
    write_atomically(out, lambda part: adata.write_h5ad(part, convert_strings_to_categoricals=False))
    return out
