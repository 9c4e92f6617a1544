"""Gates that a reader placed instead of those of the data: values, their YAML file, and their use on a tube."""

from immunolab.gating.overrides.applying import overridden, stale_use
from immunolab.gating.overrides.flagging import reached_names
from immunolab.gating.overrides.override import Override, StatedBorder
from immunolab.gating.overrides.reading import read_overrides
from immunolab.gating.overrides.shown import shown_gate
from immunolab.gating.overrides.writing import overrides_text, write_overrides
from immunolab.schema.overrides import OVERRIDES_FILE, REASONS, Reason

__all__ = [
    "OVERRIDES_FILE",
    "REASONS",
    "Override",
    "Reason",
    "StatedBorder",
    "overridden",
    "overrides_text",
    "reached_names",
    "read_overrides",
    "shown_gate",
    "stale_use",
    "write_overrides",
]
