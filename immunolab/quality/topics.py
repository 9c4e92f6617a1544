"""What the checks of a tube are about: a traffic light a topic, in the order in which a tube is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from immunolab.schema.flags import Check

TOPICS: Mapping[str, tuple[Check, ...]] = {
    "run": (
        Check.STEADINESS,
        Check.SLOW_DRIFT,
        Check.FLOW_RATE,
        Check.TIME_GAP,
        Check.TIME_SET_BACK,
        Check.TIME_STUCK,
        Check.TIME,
        Check.REPEATED_EVENTS,
        Check.CLEANED,
    ),
    "detectors": (Check.NO_SIGNAL, Check.MARGIN, Check.SATURATION, Check.NOT_A_NUMBER),
    "compensation": (
        Check.COMPENSATION,
        Check.RESIDUAL_SPILLOVER,
        Check.RESIDUAL_ON_GATES,
        Check.HYPER_NEGATIVE,
    ),
    "cells": (Check.EVENTS, Check.DOUBLETS, Check.DEAD, Check.DEBRIS),
    "beads": (Check.BEADS,),
    "single cells": (
        Check.CELLS_KEPT,
        Check.COUNTS,
        Check.GENES,
        Check.MITOCHONDRIAL_PERCENT,
        Check.DOUBLET_SCORE,
        Check.COUNTS_OVER_EMPTY,
        Check.AMBIENT_PERCENT,
        Check.PROTEIN_COUNTS,
    ),
    "staining": (Check.EXCHANGED, Check.CROSSED_LABELS, Check.ABSENT_STAIN, Check.ABSENT_POPULATION),
    "patient": (Check.IDENTITY, Check.NAMED_OTHER, Check.ACQUIRED_ORDER, Check.ACQUIRED_EARLY),
    "bridge": (Check.BRIDGE, Check.BRIDGE_REFUSED),
    "file": (Check.HEADER, Check.FILE_NOTE, Check.GATE),
}
"""Checks by topic: each check of a tube is in one."""

SEEN_IN_RUN = frozenset({Check.STEADINESS, Check.SLOW_DRIFT, Check.FLOW_RATE, Check.CLEANED})
"""Checks that the picture of a tube's run shows, all of them together."""

_STATUSES = ("ok", "warn", "fail")  # from best to worst
ORDER = {"fail": 0, "warn": 1, "ok": 2}
"""Place of a status in a table that has the worst first."""


def worst(statuses: Sequence[str]) -> str:
    """Return the worst of some statuses; ``ok`` of none.

    Parameters
    ----------
    statuses
        Of ``ok``, ``warn`` and ``fail``.
    """
    return max(statuses, key=_STATUSES.index, default="ok")


def light(check: str, status: str) -> str:
    """Return the status that a traffic light shows: a check that is only noted never turns it from ``ok``.

    Parameters
    ----------
    check
        Name of the check.
    status
        Its outcome.
    """
    return "ok" if status == "warn" and Check(check).rank == "note" else status
