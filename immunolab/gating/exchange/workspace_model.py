"""What an imported gate file holds: a strategy for each tube, what could not be read, and counts stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import numpy as np

from immunolab.errors import GatingError, Problem, nearest
from immunolab.events.tube import IDENTITY_KEYWORDS
from immunolab.gating.strategy import Ellipsoid, Polygon, Strategy

ANY_FILE = ""


@dataclass(frozen=True)
class BinnedGate:
    """A gate that the other program evaluates on the bins of its display.

    Attributes
    ----------
    gate
        In two dimensions, on the scales it was drawn on.
    widths
        Of one bin on each axis, on its scale.
    """

    gate: Polygon | Ellipsoid
    widths: tuple[float, float]


@dataclass(frozen=True)
class SampleGates:
    """The gates of one sample of a gate file.

    Attributes
    ----------
    names
        File names the sample goes by; ``""`` where it serves every tube.
    strategy
        Its gates.
    problems
        Gates that could not be read; ``place`` is the gate's path.
    counts
        Events that the other program counted, by path.
    keywords
        Of `IDENTITY_KEYWORDS`, those the file states of the sample.
    binned
        Gates drawn on bins, by path.
    """

    names: tuple[str, ...]
    strategy: Strategy
    problems: tuple[Problem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    keywords: Mapping[str, str] = field(default_factory=dict)
    binned: Mapping[str, BinnedGate] = field(default_factory=dict)


@dataclass(frozen=True)
class Workspace:
    """Gates as imported.

    Attributes
    ----------
    source
        The file they were read from.
    samples
        What it holds of each sample, in the file's order.
    """

    source: str
    samples: tuple[SampleGates, ...]

    def strategy_for(self, file_name: str, keywords: Mapping[str, str] | None = None) -> Strategy:
        """Return the strategy of a tube.

        Parameters
        ----------
        file_name
            Of the tube.
        keywords
            What names the tube in its own header (`Tube.keywords`). Of several samples that bear the file's name
            or its ``$FIL``, the one with the same ``$FIL`` and ``$TOT`` is taken, else the one with the file's
            name, else what further keywords decide.

        Raises
        ------
        GatingError
            There are no gates for this tube, or several samples with different gates could be it.
        """
        return self._of(file_name, keywords).strategy

    def problems_for(self, file_name: str, keywords: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
        """Return the gates of a tube that could not be read.

        Parameters
        ----------
        file_name, keywords
            As in `strategy_for`.

        Raises
        ------
        GatingError
            As in `strategy_for`.
        """
        return self._of(file_name, keywords).problems

    def counts_for(self, file_name: str, keywords: Mapping[str, str] | None = None) -> Mapping[str, int]:
        """Return the events another program counted in a tube, by path.

        Parameters
        ----------
        file_name, keywords
            As in `strategy_for`.

        Raises
        ------
        GatingError
            As in `strategy_for`.
        """
        return self._of(file_name, keywords).counts

    def binned_for(self, file_name: str, keywords: Mapping[str, str] | None = None) -> Mapping[str, BinnedGate]:
        """Return the gates of a tube that the other program evaluates on bins, by path.

        Parameters
        ----------
        file_name, keywords
            As in `strategy_for`.

        Raises
        ------
        GatingError
            As in `strategy_for`.
        """
        return self._of(file_name, keywords).binned

    def only(self) -> Strategy:
        """Return the strategy where all tubes share one.

        Raises
        ------
        GatingError
            The tubes have different strategies.
        """
        first, *others = (sample.strategy for sample in self.samples)
        if not all(same_gates(strategy, first) for strategy in others):
            names = sorted(sample.names[0] for sample in self.samples)
            hint = f"name the tube; it has gates for: {', '.join(names[:5])}"
            raise GatingError("the gates differ from file to file", self.source, hint)
        return first

    def _of(self, file_name: str, keywords: Mapping[str, str] | None) -> SampleGates:
        stated = keywords or {}
        found = _narrowed(_named(self.samples, file_name, stated), file_name, stated)
        if not found:
            found = [sample for sample in self.samples if ANY_FILE in sample.names]
        if not found:
            have = sorted({name for sample in self.samples for name in sample.names})
            shown = ", ".join(have[:5]) + (f" and {len(have) - 5} more" if len(have) > 5 else "")
            hint = f"{nearest(bare_name(file_name), have)} it has gates for: {shown or 'no file'}".strip()
            raise GatingError(f"{self.source} has no gates for this file", file_name, hint)
        first, *others = found
        if not all(same_gates(sample.strategy, first.strategy) and sample.counts == first.counts for sample in others):
            message = f"{len(found)} samples of {self.source} with different gates or counts could be this file"
            hint = (
                f"their names and keywords ({', '.join(IDENTITY_KEYWORDS)}) do not part them: rename one and its file"
            )
            raise GatingError(message, file_name, hint)
        return first


def _named(samples: Sequence[SampleGates], file_name: str, stated: Mapping[str, str]) -> list[SampleGates]:
    """Return the samples that bear the tube's file name or its ``$FIL``, upper and lower case alike."""
    wanted = {name.lower() for name in (bare_name(file_name), bare_name(stated.get("$FIL", ""))) if name}
    return [sample for sample in samples if wanted & {name.lower() for name in sample.names if name}]


def _narrowed(found: list[SampleGates], file_name: str, stated: Mapping[str, str]) -> list[SampleGates]:
    """Return the samples left when each criterion, the surest first, keeps those that meet it, if any does."""
    name = bare_name(file_name)

    def agrees(key: str) -> Callable[[SampleGates], bool]:
        return lambda sample: key in stated and sample.keywords.get(key) == stated[key]

    criteria = [
        lambda sample: agrees("$FIL")(sample) and agrees("$TOT")(sample),
        lambda sample: name in sample.names,
        lambda sample: name.lower() in {other.lower() for other in sample.names},
        *(agrees(key) for key in IDENTITY_KEYWORDS),
    ]
    for criterion in criteria:
        found = [sample for sample in found if criterion(sample)] or found
    return found


def same_gates(one: Strategy, other: Strategy) -> bool:
    """Return whether two strategies have the same populations, gates and matrices, whatever flags results of them have.

    Parameters
    ----------
    one, other
        Of two tubes, or of two samples.
    """
    first, second = ([replace(p, flag="", reason="") for p in each.populations] for each in (one, other))
    return (
        first == second
        and one.matrices.keys() == other.matrices.keys()
        and all(
            matrix.channels == other.matrices[name].channels
            and np.array_equal(matrix.matrix, other.matrices[name].matrix)
            for name, matrix in one.matrices.items()
        )
    )


def sample_keywords(sample: Element) -> dict[str, str]:
    """Return what a FlowJo ``Sample`` states of `IDENTITY_KEYWORDS`, without blanks around the values."""
    stated = {item.get("name", ""): item.get("value", "").strip() for item in sample.findall("Keywords/Keyword")}
    return {key: stated[key] for key in IDENTITY_KEYWORDS if stated.get(key)}


def sample_names(sample: Element, node: Element) -> tuple[str, ...]:
    """Return what the file of a FlowJo ``Sample`` may be called: its address, the name shown, its ``$FIL``.

    Parameters
    ----------
    sample
        The element ``Sample``.
    node
        Its ``SampleNode``.
    """
    data = sample.find("DataSet")
    address = unquote(data.get("uri", "")) if data is not None else ""
    shown = node.get("name") or node.get("nodeName") or ""
    names = (bare_name(address), bare_name(shown), bare_name(sample_keywords(sample).get("$FIL", "")))
    return tuple(dict.fromkeys(name for name in names if name))


def bare_name(path: str) -> str:
    """Return the last part of a path or URI written on any system."""
    return PurePosixPath(PureWindowsPath(path).as_posix()).name if path else ""
