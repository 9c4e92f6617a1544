"""Gates that a reader placed instead of those of the data: as values, and their YAML file."""

from immunolab.gating.overrides.override import OVERRIDES_FILE, Override, StatedBorder
from immunolab.gating.overrides.reading import read_overrides
from immunolab.gating.overrides.writing import write_overrides
from immunolab.schema.overrides import REASONS, Reason

__all__ = [
    "OVERRIDES_FILE",
    "REASONS",
    "Override",
    "Reason",
    "StatedBorder",
    "read_overrides",
    "write_overrides",
]
