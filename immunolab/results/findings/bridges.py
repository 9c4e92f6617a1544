"""What bridging controls say against reading the findings as they look, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pandas as pd

from immunolab.comparison.bridge_agreement import CONTRADICTED
from immunolab.comparison.bridge_charts import outside
from immunolab.results.bridge_checks import refused_ways
from immunolab.results.findings.registry import registered
from immunolab.results.run import Run

_MOST = 6  # runs and pairs of batches named; judgement, the tables have all


def bridge_concerns(run: Run) -> Iterator[tuple[Literal["quality", "confounding"], str]]:
    """Yield runs of bridging controls beyond their limits, batches that were refused, and what can be answered."""
    values, channels, moves = (run.table(name) for name in ("bridges", "bridge_channels", "bridge_moves"))
    far = outside(values, ("endpoint",)) if len(values) else []
    far += outside(channels, ("marker", "landmark")) if len(channels) else []
    if far:
        more = f" and {len(far) - _MOST} more" if len(far) > _MOST else ""
        yield "quality", f"Bridging controls beyond 3 sd of their other runs: {'; '.join(far[:_MOST])}{more}."
    for text in _refused(moves):
        yield "confounding", text
    yield from _contradicted(run)
    answers = run.table("bridge_shifts")
    wanted = {one.id for e in registered(run) for one in e.expanded() if one.role == "primary"}
    if len(answers):
        own = answers[answers["endpoint"].isin(wanted)] if answers["endpoint"].isin(wanted).any() else answers.head(1)
        for text in dict.fromkeys(own.loc[own["design"] == "visit equals batch", "answer"]):
            yield "confounding", str(text)


def bridges_in_words(run: Run) -> list[str]:
    """Return what became of borders that were to follow bridging controls, for who has just run a study.

    Parameters
    ----------
    run
        The finished run; one whose borders were not to follow gives nothing.
    """
    pairs = run.table("bridge_pairs")
    if pairs.empty:
        return []
    lost = pairs[pairs["outcome"] == "refused"]
    text = (
        f"bridging control: borders followed for {len(pairs) - len(lost)} of {len(pairs)} changes of patients' shares"
    )
    said = [f"{text} (bridge_shifts.csv has them beside the uncorrected ones)" if len(lost) < len(pairs) else text]
    return [*said, *_refused(run.table("bridge_moves"))]


def _refused(moves: pd.DataFrame) -> Iterator[str]:
    """Yield which batches borders are not carried between, and why, each reason once."""
    ways = refused_ways(moves)
    for way in ways[:_MOST]:
        material, panel = (f" {name}" if name else "" for name in (way.bridge, way.panel))
        between = f"from batch {way.batch_from} to {way.batch_to}{f' in panel{panel}' if panel else ''}"
        yield f"Borders do not follow the bridging control{material} {between}: {way.words}."
    if len(ways) > _MOST:
        yield f"Nor between {len(ways) - _MOST} more pairs of batches, which bridge_moves.csv has."


def _contradicted(run: Run) -> Iterator[tuple[Literal["confounding"], str]]:
    """Yield which shares are withheld, as borders that follow the bridge and each tube's own give them otherwise."""
    pairs = run.table("bridge_pairs")
    if pairs.empty:
        return
    own = pairs["reason"].fillna("").str.startswith(CONTRADICTED)
    names = [run.label_of(name).measured for name in dict.fromkeys(pairs.loc[own, "endpoint"].astype(str))]
    if names:
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield (
            "confounding",
            f"Borders that follow the bridging control and each tube's own disagree on {len(names)} of "
            f"{pairs['endpoint'].nunique()} shares, with no bridged result: {'; '.join(names[:_MOST])}{more}. One gate "
            "that is hard to place may be the cause of one; of many, it is a bridge that is wrong.",
        )
