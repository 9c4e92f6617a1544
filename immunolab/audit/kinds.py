"""Kinds of entries, each with what it says."""

from __future__ import annotations

from types import MappingProxyType

KINDS = MappingProxyType(
    {
        "review_opened": "a reader began a review, or went on with it",
        "decision": "a reader accepted, rejected or left open a gate of a tube",
        "override": "a reader moved a gate; study/overrides.yaml has the override that holds this entry's hash",
        "override_withdrawn": "an override was taken back",
        "undo": "a reader undid a change",
        "redo": "a reader did an undone change again",
        "review_closed": "a reader ended the review, and saw patients and visits",
        "plan_locked": "the analysis plan was locked",
        "unblinded": "arms, visits or patients were disclosed to those who analyse",
        "torn_line": "writing had been interrupted; what was there of the last line was moved to audit.torn",
    }
)
"""Kinds of entries that this version writes."""
