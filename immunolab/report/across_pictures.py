"""Pictures of lights that tubes show beside each other: stains, the patient they look like, bridging controls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from immunolab.plots.levey_jennings import levey_jennings_png
from immunolab.plots.lights import beside_png, nearer_png, rows_png
from immunolab.plots.style import ALARM, NEUTRAL
from immunolab.quality.staining_sample import STAINING_EVENTS, StainingFiles
from immunolab.report.figures.bridges import channel_chart
from immunolab.report.light_pictures import LightPicture
from immunolab.results.run import Run
from immunolab.schema.flags import Check

Row = Mapping[str, Any]
_OTHERS = 12  # tubes that a stain is drawn beside: more hide each other (judgement)
_MOVES = 8  # markers of a bridge's moves: what a picture has room for


@dataclass(frozen=True)
class AcrossPictures:
    """Draws from a run's tables and the kept events of its tubes.

    Attributes
    ----------
    run
        The finished run.
    """

    run: Run

    def __call__(self, row: Row) -> Iterator[LightPicture]:
        """Yield the pictures of one row of quality.csv; none where the check is of a tube by itself."""
        draw = {
            Check.EXCHANGED: self._stains,
            Check.CROSSED_LABELS: self._stains,
            Check.ABSENT_STAIN: self._stains,
            Check.IDENTITY: self._identity,
            Check.BRIDGE: self._chart,
            Check.BRIDGE_REFUSED: self._moves,
        }.get(Check(str(row["check"])))
        if draw is not None:
            yield from draw(row)

    @cached_property
    def _kept(self) -> StainingFiles:
        samples = self.run.study.samples
        return StainingFiles(
            {s.sample_id: self.run.folder / "samples" / s.sample_id / STAINING_EVENTS for s in samples}
        )

    @cached_property
    def _like(self) -> dict[str, tuple[str, str]]:
        own = [s for s in self.run.study.samples if s.gated]  # an FMO lacks the stain by design
        return {s.sample_id: (s.panel, s.stimulation) for s in own}

    def _stains(self, row: Row) -> Iterator[LightPicture]:
        """Yield the stains that a finding names, each beside the panel's other tubes."""
        staining, sample = self.run.table("staining"), str(row["sample_id"])
        if staining.empty or sample not in self._kept:
            return
        found = staining[(staining["sample_id"] == sample) & (staining["message"] == row["message"])].head(1)
        names = [str(name) for column in ("marker", "other_marker") for name in found[column].dropna()]
        like = [s for s in self._like if self._like[s] == self._like.get(sample) and s != sample and s in self._kept]
        samples = {name: self._kept[name] for name in (sample, *like[:_OTHERS])}
        for i, name in enumerate(names):
            stains = {s: one.stains[one.markers.index(name)] for s, one in samples.items() if name in one.markers}
            if sample not in stains:
                continue
            own = stains.pop(sample)
            alt = f"{sample}: histogram of {name} in red beside {len(stains)} other tubes"
            caption = str(row["message"]) if not i else f"the other channel, {name}"
            yield LightPicture(str(row["status"]), caption, alt, beside_png(name, own, list(stains.values())))

    def _identity(self, row: Row) -> Iterator[LightPicture]:
        """Yield how far the tube is from its patient's other visits, and from the nearest other patient's."""
        known = self.run.table("identity").dropna(subset=["distance", "nearest_distance"])
        own = known["sample_id"] == row["sample_id"]
        if not own.any():
            return
        points = known[["distance", "nearest_distance"]].to_numpy(dtype=float)
        alt = (
            f"{row['sample_id']} in red: distance from the nearest other patient's visits against that from its own "
            f"patient's, beside {len(points) - 1} other tubes"
        )
        png = nearer_png(points[own.to_numpy()][0], points[~own.to_numpy()])
        yield LightPicture(str(row["status"]), str(row["message"]), alt, png)

    def _chart(self, row: Row) -> Iterator[LightPicture]:
        """Yield the Levey-Jennings chart that the tube of a bridging control is farthest off in."""
        values, channels, sample = self.run.table("bridges"), self.run.table("bridge_channels"), row["sample_id"]
        charts = [
            (table[table["sample_id"] == sample].dropna(subset=["deviation"]), table, keys)
            for table, keys in ((values, ["bridge", "endpoint"]), (channels, ["bridge", "panel", "marker", "landmark"]))
            if len(table)
        ]
        worst = [(own.loc[own["deviation"].abs().idxmax()], table, keys) for own, table, keys in charts if len(own)]
        if not worst:
            return
        one, table, keys = max(worst, key=lambda found: abs(found[0]["deviation"]))
        rows = table[(table[keys].fillna("") == one[keys].fillna("")).all(axis=1)]
        of_endpoint = "endpoint" in keys
        label = f"{one['endpoint']}, {one['unit']}" if of_endpoint else f"{one['marker']} of {one['landmark']}"
        alt = f"Levey-Jennings chart of {one['bridge']}: {label}, {len(rows)} runs; batch {one['batch']} is {sample}"
        png = levey_jennings_png(rows if of_endpoint else channel_chart(rows), label)
        yield LightPicture(str(row["status"]), str(row["message"]), alt, png)

    def _moves(self, row: Row) -> Iterator[LightPicture]:
        """Yield how far the bridge moved on the channels that are against it, beside the patients' tubes."""
        moves = self.run.table("bridge_moves")
        held = next((s for s in self.run.study.samples if s.sample_id == row["sample_id"]), None)
        if moves.empty or held is None:
            return
        own = moves[(moves["bridge"] == held.bridge) & (moves["batch_to"] == held.batch)]
        own = own[(own["outcome"] == "refused") & own["move"].notna() & own["patients_move"].notna()]
        named = [_names(str(reason), str(m)) for m, reason in zip(own["marker"], own["reason"], strict=True)]
        own = own[named].drop_duplicates("marker").head(_MOVES)
        if own.empty:
            return
        rows = [
            (str(r["marker"]), [(r["move"], _error(r["move_se"]), ALARM), (r["patients_move"], 0.0, NEUTRAL)])
            for r in own.to_dict("records")
        ]
        alt = (
            f"Moves of {', '.join(own['marker'])} to batch {held.batch}: the bridging control in red, patients in grey"
        )
        key = "red: bridging control (2 SE); grey: patients' tubes"
        png = rows_png(rows, f"move to batch {held.batch}, display scale", key)
        yield LightPicture(str(row["status"]), str(row["message"]), alt, png)


def _names(reason: str, marker: str) -> bool:
    """Return whether one of a refusal's reasons is of a marker: CD38 is not of CD3."""
    return re.search(rf"(?:^|; ){re.escape(marker)}(?:: | of )", reason) is not None


def _error(value: Any) -> float:
    return float(value) if pd.notna(value) else 0.0
