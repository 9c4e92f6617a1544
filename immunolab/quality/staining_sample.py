"""A few events of a tube on one scale: what staining is compared by across the tubes of a panel."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immunolab.events.subsample import drawn_rows
from immunolab.events.tube import Channel, Tube
from immunolab.vocabulary.panel import is_unused

STAINING_EVENTS = "staining.npz"
"""File of a tube's events in its folder of a run."""
N_EVENTS = 1_500
"""Events kept of a tube: a rank correlation then has a standard error of .026, below its spread between tubes of
one panel (about .05 in simulated and published panels), and a study of 1,000 tubes keeps 50 MB of files."""
COFACTORS = {"fluorescence": 150.0, "mass": 5.0}
"""Of the asinh by kind of channel, instrument units: the usual ones of conventional and mass cytometers."""
_SCATTER = 65_536.0  # instrument units of scatter taken as 1: a quarter of an 18-bit range


@dataclass(frozen=True)
class StainingSample:
    """Events of one tube.

    Attributes
    ----------
    names, markers
        Detector and marker of each stained channel; the detector's name where no marker is known.
    stains
        float32, channels x events: asinh of the compensated signal over 150 (mass: over 5).
    scatter
        float32, scatter channels x events, in a quarter of an 18-bit range.
    unused
        Detectors without an antibody: what they read is other dyes' light.
    """

    names: tuple[str, ...]
    markers: tuple[str, ...]
    stains: NDArray[np.float32]
    scatter: NDArray[np.float32]
    unused: tuple[str, ...] = ()

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.stains.shape[1])

    def save(self, path: Path) -> None:
        """Write the sample as NPZ; values are kept as float16.

        Parameters
        ----------
        path
            The file.
        """
        np.savez(
            path,
            names=np.array(self.names),
            markers=np.array(self.markers),
            stains=self.stains.astype(np.float16),
            scatter=self.scatter.astype(np.float16),
            unused=np.array(self.unused, dtype=np.str_),
        )


def read_staining_sample(path: Path) -> StainingSample:
    """Return a sample that `StainingSample.save` wrote.

    Parameters
    ----------
    path
        The file.
    """
    with np.load(path, allow_pickle=False) as found:
        names, markers = (tuple(map(str, found[key])) for key in ("names", "markers"))
        stains, scatter = (found[key].astype(np.float32) for key in ("stains", "scatter"))
        unused = tuple(map(str, found["unused"])) if "unused" in found else ()  # older runs did not keep it
        return StainingSample(names, markers, stains, scatter, unused)


def is_kept(sample: StainingSample, path: Path) -> bool:
    """Return whether a file holds a sample as `StainingSample.save` writes it; not where it cannot be read.

    Files of older runs name no detector without an antibody.

    Parameters
    ----------
    sample, path
        The sample, and the file.
    """
    try:
        kept = read_staining_sample(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False
    arrays = ((sample.stains, kept.stains), (sample.scatter, kept.scatter))
    same_words = (sample.names, sample.markers) == (kept.names, kept.markers) and kept.unused in ((), sample.unused)
    return same_words and all(np.array_equal(own.astype(np.float16), other.astype(np.float16)) for own, other in arrays)


class StainingFiles(Mapping[str, StainingSample]):
    """Samples by name, each read when it is asked for and not kept: those of 5,000 tubes take half a gigabyte.

    Parameters
    ----------
    paths
        File of each; those that are not there are left out.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = {name: path for name, path in paths.items() if path.exists()}

    def __getitem__(self, name: str) -> StainingSample:
        """Return the sample of a name."""
        return read_staining_sample(self._paths[name])

    def __contains__(self, name: object) -> bool:
        """Whether there is a sample of this name, without reading it."""
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._paths)


def staining_sample(tube: Tube, n: int = N_EVENTS, *, seed: int = 0) -> StainingSample:
    """Return events of a tube, drawn over its whole length.

    Parameters
    ----------
    tube
        The tube; its own matrix compensates it.
    n
        Most events.
    seed
        Of the draw.
    """
    few = tube.take(drawn_rows(tube.n_events, n, seed)) if tube.n_events > n else tube
    stained = [channel for channel in tube.channels if channel.kind in COFACTORS]
    stains = [np.arcsinh(few.compensated(c.name) / COFACTORS[c.kind]) for c in stained]
    scatter = [few.compensated(c.name) / _SCATTER for c in tube.channels if c.kind == "scatter"]
    finite: NDArray[np.bool_] = np.isfinite(np.array([*stains, *scatter]).reshape(-1, few.n_events)).all(axis=0)
    return StainingSample(
        tuple(c.name for c in stained),
        _markers(stained),
        _columns(stains, finite),
        _columns(scatter, finite),
        tuple(c.name for c in stained if is_unused(c)),
    )


def _markers(stained: Sequence[Channel]) -> tuple[str, ...]:
    """Return markers, each once: a second channel of one marker goes by its detector."""
    found: list[str] = []
    for channel in stained:
        name = channel.marker or channel.name
        found.append(channel.name if name in found else name)
    return tuple(found)


def _columns(rows: Sequence[NDArray[np.float64]], finite: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.array([row[finite] for row in rows], dtype=np.float32).reshape(len(rows), int(finite.sum()))
