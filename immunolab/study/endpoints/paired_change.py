"""A variable or score of the clinic, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from immunolab.study.endpoints.measured import MeasuredEndpoint


@dataclass(frozen=True, kw_only=True)
class PairedChange(MeasuredEndpoint):
    """The change of a variable of the measurements (``variables``: of each of them) or of a score."""

    statistic: ClassVar[str] = "paired_change"
    clinical_change: ClassVar[bool] = True
    is_course: ClassVar[bool] = True
