"""What bridging controls say against reading the findings as they look, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pandas as pd

from immunolab.comparison.bridge_agreement import CONTRADICTED
from immunolab.comparison.bridge_charts import outside
from immunolab.results.findings.registry import registered
from immunolab.results.run import Run

_MOST = 6  # runs and reasons named; judgement, the tables have all


def bridge_concerns(run: Run) -> Iterator[tuple[Literal["quality", "confounding"], str]]:
    """Yield runs of bridging controls beyond their limits, batches that were refused, and what can be answered."""
    values, channels, moves = (run.table(name) for name in ("bridges", "bridge_channels", "bridge_moves"))
    far = outside(values, ("endpoint",)) if len(values) else []
    far += outside(channels, ("marker", "landmark")) if len(channels) else []
    if far:
        more = f" and {len(far) - _MOST} more" if len(far) > _MOST else ""
        yield "quality", f"Bridging controls beyond 3 sd of their other runs: {'; '.join(far[:_MOST])}{more}."
    refused = moves[moves["outcome"] == "refused"] if len(moves) else moves
    ways = refused.drop_duplicates(["panel", "batch_from", "batch_to", "bridge"]) if len(refused) else refused
    for row in ways.head(_MOST).to_dict("records"):
        material, panel = (f" {row[name]}" if pd.notna(row[name]) and row[name] else "" for name in ("bridge", "panel"))
        way = f"from batch {row['batch_from']} to {row['batch_to']}{f' in panel{panel}' if panel else ''}"
        yield "confounding", f"Borders do not follow the bridging control{material} {way}: {row['reason']}."
    if len(ways) > _MOST:
        yield "confounding", f"Nor between {len(ways) - _MOST} more pairs of batches, which bridge_moves.csv has."
    yield from _contradicted(run)
    answers = run.table("bridge_shifts")
    wanted = {one.id for e in registered(run) for one in e.expanded() if one.role == "primary"}
    if len(answers):
        own = answers[answers["endpoint"].isin(wanted)] if answers["endpoint"].isin(wanted).any() else answers.head(1)
        for text in dict.fromkeys(own.loc[own["design"] == "visit equals batch", "answer"]):
            yield "confounding", str(text)


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
