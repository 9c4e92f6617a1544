"""What is in a data file, and what is unusual about it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from immunolab.errors import DataFileError
from immunolab.events.scales import ChannelScale, channel_noise, channel_scales
from immunolab.events.transforms import scale_in_words
from immunolab.loaders.fcs.read import read_fcs, read_header

_HDF5 = b"\x89HDF"
_MOST_ROWS = 200  # channels or features listed; more are counted


def inspect_file(path: str | Path, *, medians: bool = False, dataset: int = 0) -> dict[str, Any]:
    """Return what an FCS or h5ad file holds, as plain data ready for JSON.

    Parameters
    ----------
    path
        An FCS or h5ad file.
    medians
        Give each channel's median of the values as stored in the file (FCS: before ``$PnE``,
        ``$PnG`` and ``$TIMESTEP``; h5ad: of X, surface proteins of ``obsm``).
    dataset
        Which data set of an FCS file, counted from 0.

    Returns
    -------
    dict
        ``file``, ``fcs_version`` (None for h5ad), ``n_events`` (cells for h5ad), ``cytometer``,
        ``channels`` (``channel``, ``label``, ``marker``, ``fluorochrome``, ``kind``, ``median``,
        and ``scale``, ``scale_reason``: what data choose where a strategy leaves scales to them and this is the only
        tube; None for h5ad),
        ``spillover`` (``channels``, ``matrix``, ``source``; None without one), ``datasets``,
        ``warnings``.

    Raises
    ------
    DataFileError
        When the file cannot be read right.

    Examples
    --------
    >>> found = il.inspect_file("sample_data/sle/fcs/SLE001_W0.fcs")
    >>> found["fcs_version"], found["n_events"], len(found["channels"])
    ('3.1', 5000, 20)
    """
    try:
        with open(path, "rb") as handle:
            start = handle.read(4)
    except OSError as error:
        raise DataFileError(f"the file cannot be opened: {error.strerror}", str(path), "check the path") from None
    return _h5ad(path, medians) if start == _HDF5 else _fcs(path, medians, dataset)


def _fcs(path: str | Path, medians: bool, dataset: int) -> dict[str, Any]:
    header = read_header(path, dataset=dataset)
    try:
        events = read_fcs(path, dataset=dataset)
        refused: tuple[str, ...] = ()
    except DataFileError as error:
        # events that read without a matrix are distinguished from a file that does not read at all
        events = read_fcs(path, dataset=dataset, spillover=None)
        refused = (f"the spillover matrix is not usable: {error.message}",)
    middle: list[float | None] = [None] * len(events.channels)
    if medians:
        middle = [_median(column) for column in read_fcs(path, dataset=dataset, stored=True).columns]
    matrix = events.spillover
    scales = {scale.name: scale for scale in channel_scales([channel_noise(events)])}
    return {
        "file": str(path),
        "fcs_version": header.version,
        "n_events": events.n_events,
        "cytometer": header.cytometer,
        "channels": [
            {
                "channel": channel.name,
                "label": channel.label,
                "marker": channel.marker,
                "fluorochrome": channel.fluorochrome,
                "kind": channel.kind,
                "median": median,
                **_scale(scales.get(channel.marker or channel.name)),
            }
            for channel, median in zip(events.channels, middle, strict=True)
        ],
        "spillover": None
        if matrix is None
        else {"channels": list(matrix.channels), "matrix": matrix.matrix.tolist(), "source": matrix.source},
        "datasets": header.datasets,
        "warnings": list(dict.fromkeys(events.warnings + refused)),
    }


def _scale(found: ChannelScale | None) -> dict[str, str | None]:
    if found is None:
        return {"scale": "linear", "scale_reason": None}
    return {"scale": scale_in_words(found.transform), "scale_reason": found.reason}


def _h5ad(path: str | Path, medians: bool) -> dict[str, Any]:
    from anndata import read_h5ad

    try:
        data = read_h5ad(path, backed=None if medians else "r")
    except (OSError, KeyError, ValueError) as error:
        raise DataFileError(f"not a readable h5ad file: {type(error).__name__}", str(path), "write it again") from None
    single_cell = "channel" not in data.var
    rows = []
    for i, name in enumerate(data.var_names):
        known = {} if single_cell else data.var.iloc[i].to_dict()
        rows.append(
            {
                "channel": str(known.get("channel", name)),
                "label": "",
                "marker": known.get("marker") or None,
                "fluorochrome": known.get("fluorochrome") or None,
                "kind": known.get("kind", "gene"),
                "median": _median(_column(data.X, i)) if medians and data.X is not None else None,
                "scale": None,
                "scale_reason": None,
            }
        )
    for name, column in _proteins(data):
        median = _median(column) if medians else None
        rows.append(
            {
                "channel": name,
                "label": "",
                "marker": name,
                "fluorochrome": None,
                "kind": "protein",
                "median": median,
                "scale": None,
                "scale_reason": None,
            }
        )
    notes = [] if "sample_id" in data.obs else ["obs has no column sample_id"]
    if data.isbacked:
        data.file.close()
    return {
        "file": str(path),
        "fcs_version": None,
        "n_events": int(data.n_obs),
        "cytometer": "",
        "channels": rows,
        "spillover": None,
        "datasets": 1,
        "warnings": notes,
    }


def _proteins(data: Any) -> list[tuple[str, np.ndarray]]:
    table = data.obsm.get("protein")
    columns = getattr(table, "columns", None)
    return [] if columns is None else [(str(name), np.asarray(table[name], dtype=float)) for name in columns]


def _column(matrix: Any, i: int) -> np.ndarray:
    column = matrix[:, i]
    return np.asarray(column.toarray() if hasattr(column, "toarray") else column).ravel()


def _median(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def inspection_text(found: dict[str, Any]) -> str:
    """Return what `inspect_file` found as a table to read.

    Parameters
    ----------
    found
        What `inspect_file` returned.
    """
    version = f"FCS {found['fcs_version']}" if found["fcs_version"] else "h5ad"
    sets = f", {found['datasets']} data sets" if found["datasets"] > 1 else ""
    matrix = found["spillover"]
    spill = f"{len(matrix['channels'])} x {len(matrix['channels'])} ({matrix['source']})" if matrix else "none"
    lines = [
        f"file       {found['file']}",
        f"format     {version}{sets}",
        f"events     {found['n_events']:,}",
        f"cytometer  {found['cytometer'] or 'not named'}",
        f"spillover  {spill}",
        "",
    ]
    has_medians = any(row["median"] is not None for row in found["channels"])
    has_scales = any(row["scale"] is not None for row in found["channels"])
    columns = ["channel", "label", "marker", "fluorochrome", "kind", *(["scale"] if has_scales else [])]
    head = columns + (["median (as stored)"] if has_medians else [])
    table = [head] + [
        [*(str(row[name] or "-") for name in columns), *([_figure(row["median"])] if has_medians else [])]
        for row in found["channels"][:_MOST_ROWS]
    ]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    if len(found["channels"]) > _MOST_ROWS:
        lines.append(f"... and {len(found['channels']) - _MOST_ROWS:,} more; --json lists all")
    if found["warnings"]:
        lines += ["", "what is unusual:", *(f"  - {words}" for words in found["warnings"])]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:,.6g}"
