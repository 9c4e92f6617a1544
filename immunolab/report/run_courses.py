"""Runs of tubes that were not steady, for the section Quality: each with its picture and what was found."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from immunolab.quality.topics import SEEN_IN_RUN
from immunolab.results.findings.checks import tube_checks
from immunolab.results.run import Run
from immunolab.results.tube import COURSE
from immunolab.schema.flags import Check

MOST_COURSES = 30
"""Pictures on the page (1.2 MB): the worst; the others are in their samples' folders."""


@dataclass(frozen=True)
class RunCourse:
    """A tube's run: its name, what was found in words, and the picture, base64."""

    sample_id: str
    words: str
    picture: str


def run_courses(run: Run) -> list[RunCourse]:
    """Return the runs of tubes that were not steady, the worst first.

    Parameters
    ----------
    run
        Its folder holds a picture of each.
    """
    checks = tube_checks(run)
    rows = checks[checks["check"].isin(SEEN_IN_RUN) & (checks["status"] != "ok")]
    share = rows[rows["check"] == Check.STEADINESS].set_index("sample_id")["value"].to_dict()
    found: list[RunCourse] = []
    for sample in sorted(dict.fromkeys(rows["sample_id"]), key=lambda name: -share.get(name, 0.0)):
        path = run.folder / "samples" / str(sample) / COURSE
        if path.exists() and len(found) < MOST_COURSES:
            said = "; ".join(map(str, rows.loc[rows["sample_id"] == sample, "message"]))
            found.append(RunCourse(str(sample), said, b64encode(path.read_bytes()).decode()))
    return found


def cleaning_text(run: Run) -> str:
    """Return what was cut from tubes before gating, for the methods section; empty where nothing was."""
    cut = run.table("removed_stretches")
    if cut.empty:
        return ""
    shares = cut.groupby("sample_id", sort=False)["percent"].sum()
    tubes = run.counts["sample_id"].nunique()
    return (
        f"Before gates were placed, stretches of the run in which a channel left the level of at least 70 % of the "
        f"events by more than .4 SD of a population were cut (seeded binary segmentation of the shares above five "
        f"levels of each channel): {shares.min():.2g} to {shares.max():.2g} % of the events of {len(shares)} of "
        f"{tubes} tubes. Percentages of all events under the same gates are in uncleaned_counts.csv."
    )
