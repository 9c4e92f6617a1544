"""The name that `immunolab.gating.method_registry` had in version 0.2, kept for one version for labs' own files."""

import warnings

from immunolab.gating.method_registry import Card, Cut, Parameter, register

__all__ = ["Card", "Cut", "Parameter", "register"]

warnings.warn(
    "immunolab.gating.cards is now immunolab.gating.method_registry; il.threshold_method registers a method",
    DeprecationWarning,
    stacklevel=2,
)
