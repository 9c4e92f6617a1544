"""Write list-mode float32 FCS 3.1, technical keywords only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = 256  # bytes before TEXT; the standard asks for at least 58
_TEXT_ROOM = 64  # bytes: blanks between TEXT and DATA, as instruments leave them
_SEPARATOR = "\f"  # no label holds a form feed, so readers that cannot unescape get by


def write_fcs(
    path: Path,
    names: Sequence[str],
    labels: Sequence[str],
    columns: NDArray[np.float32],
    *,
    spillover: tuple[Sequence[str], NDArray[np.float64]] | None = None,
    maximum: int = 262144,
    keywords: Mapping[str, str] | None = None,
) -> None:
    """Write one data set.

    Parameters
    ----------
    path
        File to write; its name becomes ``$FIL``.
    names, labels
        ``$PnN`` and ``$PnS``; an empty label is left out.
    columns
        Channels x events, linear.
    spillover
        Channel names and matrix for ``$SPILLOVER``.
    maximum
        ``$PnR`` of every channel.
    keywords
        Further keywords (``$TIMESTEP`` ...).
    """
    text: dict[str, str] = {"$BEGINANALYSIS": "0", "$ENDANALYSIS": "0", "$BEGINSTEXT": "0", "$ENDSTEXT": "0"}
    text |= {"$BYTEORD": "1,2,3,4", "$DATATYPE": "F", "$MODE": "L", "$NEXTDATA": "0"}
    text |= {"$PAR": str(len(names)), "$TOT": str(columns.shape[1]), "$FIL": path.name}
    for i, (name, label) in enumerate(zip(names, labels, strict=True), start=1):
        text |= {f"$P{i}N": name, f"$P{i}B": "32", f"$P{i}E": "0,0", f"$P{i}R": str(maximum)}
        text |= {f"$P{i}S": label} if label else {}
    if spillover is not None:
        channels, matrix = spillover
        entries = ",".join(f"{value:.6g}" for value in np.asarray(matrix).ravel())
        text["$SPILLOVER"] = ",".join([str(len(channels)), *channels, entries])
    text |= keywords or {}
    data = np.ascontiguousarray(columns.T, dtype="<f4").tobytes()
    length = len(_encode({**text, "$BEGINDATA": "0" * 12, "$ENDDATA": "0" * 12}))
    begin = _HEADER + length + _TEXT_ROOM
    end = begin + len(data) - 1 if data else 0
    begin = begin if data else 0
    body = _encode({**text, "$BEGINDATA": f"{begin:012d}", "$ENDDATA": f"{end:012d}"})
    header = "FCS3.1    " + _offsets(_HEADER, _HEADER + len(body) - 1) + _offsets(begin, end) + _offsets(0, 0)
    path.write_bytes(header.encode().ljust(_HEADER) + body + b" " * _TEXT_ROOM + data)


def _encode(text: Mapping[str, str]) -> bytes:
    mark = _SEPARATOR
    return (mark + "".join(f"{key}{mark}{value.replace(mark, 2 * mark)}{mark}" for key, value in text.items())).encode()


def _offsets(begin: int, end: int) -> str:
    # offsets of more than eight digits are in TEXT alone
    return f"{begin:>8d}{end:>8d}" if end <= 99_999_999 else f"{0:>8d}{0:>8d}"
