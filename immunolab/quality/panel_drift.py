"""Panel drift: files of one panel whose channels or markers are not named as in the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from immunolab.errors import Problem
from immunolab.events.tube import Channel
from immunolab.vocabulary.labels import known_words
from immunolab.vocabulary.lexicon import key
from immunolab.vocabulary.panel import resolve_channels

Headers = Mapping[str, Sequence[tuple[str, str]]]
DriftKind = Literal[
    "case", "renamed_channel", "renamed_marker", "swapped", "extra", "missing", "other_marker", "other_dye"
]
_HARMLESS = frozenset({"renamed_marker", "extra", "other_dye"})


@dataclass(frozen=True)
class Drift:
    """One way in which a file's panel differs from that of the other files.

    Attributes
    ----------
    file
        As the caller named it.
    kind
        Case, renamed_channel, renamed_marker, swapped, extra, missing, other_marker, other_dye.
    channel
        The channel it concerns, as this file names it (as the others do when it is missing).
    message, hint
        In words; of labels only words of the vocabulary are quoted.
    markers
        Of kind swapped: what this file's label says of the channel, and of the other one.
    """

    file: str
    kind: DriftKind
    channel: str
    message: str
    hint: str
    markers: tuple[str, ...] = ()

    @property
    def harmless(self) -> bool:
        """Whether markers are found all the same, so that nothing has to be fixed."""
        return self.kind in _HARMLESS

    @property
    def problem(self) -> Problem:
        """The drift as a Problem at its file and channel."""
        return Problem(self.file, f"channel {self.channel}", self.message, self.hint)


def find_drift(headers: Headers) -> list[Drift]:
    """Compare files that should share one panel, file by file.

    Parameters
    ----------
    headers
        File -> (``$PnN``, ``$PnS``) of each channel in file order.

    Returns
    -------
    list of Drift
        In the order of the files. What the others have is the most frequent panel; the first one
        listed, when two are equally frequent.
    """
    panels = {
        file: resolve_channels([name for name, _ in pairs], [label for _, label in pairs])
        for file, pairs in headers.items()
    }
    if len(panels) < 2:
        return []
    layouts = Counter(_layout(channels) for channels in panels.values())
    usual = layouts.most_common(1)[0][0]
    others = next(channels for channels in panels.values() if _layout(channels) == usual)
    return [drift for file, channels in panels.items() for drift in _compare(file, channels, others)]


def _layout(channels: Sequence[Channel]) -> frozenset[tuple[str, str | None, str | None]]:
    return frozenset((c.name, c.marker, c.fluorochrome) for c in channels)


def _compare(file: str, channels: Sequence[Channel], others: Sequence[Channel]) -> Iterator[Drift]:
    pairs, extra, missing, renamed = _match(channels, others)
    for own, other in renamed:
        same = own.name.casefold() == other.name.casefold()
        how = "differs in case only from" if same else "is in the place of"
        hint = "rename the channel, or name it in a panel file and gate by marker"
        yield Drift(file, "case" if same else "renamed_channel", own.name, f"{how} '{other.name}' of the others", hint)
    swapped = _swapped(pairs)
    for a, b in swapped:
        message = f"swapped with {b.name}: here {a.name} carries {_carries(a)} and {b.name} {_carries(b)}"
        yield Drift(
            file,
            "swapped",
            a.name,
            message,
            "find out which is right and give this file a panel of its own",
            (str(a.marker), str(b.marker)),
        )
    moved = {channel.name for pair in swapped for channel in pair}
    usual = {other.marker: other for other in others if other.marker}
    for own, other in pairs:
        reference = usual[own.marker] if own.marker and own.name in moved else other
        yield from _marker_drift(file, own, reference)
    for own in extra:
        carries = f" and carries {own.marker}" if own.marker else ""
        yield Drift(file, "extra", own.name, f"the other files do not have this channel{carries}", "it is not used")
    for other in missing:
        carries = f"; the others have {other.marker} there" if other.marker else ""
        yield Drift(file, "missing", other.name, f"this file lacks the channel{carries}", "export all channels")


Pairs = list[tuple[Channel, Channel]]


def _match(channels: Sequence[Channel], others: Sequence[Channel]) -> tuple[Pairs, list[Channel], list[Channel], Pairs]:
    """Pair channels by name, then by spelling, then by label; return pairs, extra, missing, renamed."""
    by_name = {other.name: other for other in others}
    pairs = [(own, by_name[own.name]) for own in channels if own.name in by_name]
    taken = {own.name for own, _ in pairs}
    extra = [own for own in channels if own.name not in taken]
    missing = [other for other in others if other.name not in taken]
    renamed: Pairs = []
    for same in (_spelled_alike, _labelled_alike, _of_one_marker):
        for own in list(extra):
            found = [other for other in missing if same(own, other)]
            if len(found) == 1:
                renamed.append((own, found[0]))
                extra.remove(own)
                missing.remove(found[0])
    return pairs + renamed, extra, missing, renamed


def _spelled_alike(own: Channel, other: Channel) -> bool:
    return key(own.name) == key(other.name)


def _labelled_alike(own: Channel, other: Channel) -> bool:
    return own.kind == other.kind and bool(key(own.label)) and key(own.label) == key(other.label)


def _of_one_marker(own: Channel, other: Channel) -> bool:
    return own.marker is not None and own.marker == other.marker


def _swapped(pairs: Pairs) -> list[tuple[Channel, Channel]]:
    found = []
    for i, (a, usual_a) in enumerate(pairs):
        for b, usual_b in pairs[i + 1 :]:
            crossed = a.marker == usual_b.marker and b.marker == usual_a.marker
            if crossed and a.marker and b.marker and a.marker != b.marker:
                found.append((a, b) if a.name <= b.name else (b, a))
    return found


def _marker_drift(file: str, own: Channel, other: Channel) -> Iterator[Drift]:
    if own.marker != other.marker:
        message = f"carries {own.marker or 'no known marker'}, in the other files {other.marker or 'no known marker'}"
        yield Drift(file, "other_marker", own.name, message, "correct the label, or give this file a panel of its own")
    elif own.marker and _names(own) != _names(other):
        message = f"names {own.marker} '{' '.join(_names(own))}', the other files '{' '.join(_names(other))}'"
        yield Drift(file, "renamed_marker", own.name, message, "both are read as one marker")
    if own.marker and own.marker == other.marker and own.fluorochrome != other.fluorochrome:
        message = f"{own.marker} is on {own.fluorochrome or 'an unnamed dye'}, in the others on {other.fluorochrome}"
        yield Drift(file, "other_dye", own.name, message, "check whether the panel was changed on purpose")


def _names(channel: Channel) -> tuple[str, ...]:
    return known_words(channel.label, markers_only=True)


def _carries(channel: Channel) -> str:
    return f"{channel.marker} ({' '.join(known_words(channel.label))})"
