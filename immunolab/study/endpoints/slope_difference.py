"""The slope of a score or variable in a later period minus that in an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from immunolab.errors import nearest
from immunolab.schema.contrast import Contrast
from immunolab.study.endpoints.endpoint import Fault, Figure, Period, Setting
from immunolab.study.endpoints.measured import MeasuredEndpoint

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SlopeDifference(MeasuredEndpoint):
    """A difference of slopes between two periods that meet at a visit.

    Attributes
    ----------
    periods
        The visits of the earlier and of the later period.
    deaths
        The time_to_event endpoint whose events rank beyond any slope in a sensitivity analysis, for designs that end
        in follow-up.
    """

    periods: tuple[tuple[str, ...], ...] = ()
    deaths: str | None = None

    statistic: ClassVar[str] = "slope_difference"
    clinical_change: ClassVar[bool] = True
    of_one_day: ClassVar[bool] = False
    figure: ClassVar[Figure] = "slopes"

    @property
    def slopes(self) -> tuple[Period, Period] | None:
        return (Period(self.periods[0]), Period(self.periods[1])) if len(self.periods) == 2 else None

    @property
    def registered(self) -> Contrast | None:
        """The visits that the periods end with: a slope is kept in the row of such a visit."""
        return Contrast(self.slopes[0].last, self.slopes[1].last) if self.slopes else None

    @property
    def death_endpoint(self) -> str | None:
        return self.deaths

    @property
    def timing(self) -> tuple[str, ...]:
        return self.contrast or tuple(dict.fromkeys(name for period in self.periods for name in period)) or self.visits

    @property
    def label(self) -> str:
        return f"{super().label}, difference of slopes"

    def _incomplete(self) -> str:
        if len(self.periods) != 2 or not all(self.periods):
            return "slope_difference needs two periods, each a list of visits"
        return super()._incomplete()

    def records(self, measurements: pd.DataFrame, scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        name = slope_name(self.fitted)
        ends = [period.last for period in self.slopes or ()]
        return name, scores[(scores["score"] == name) & scores["visit"].isin(ends)]

    def named_visits(self) -> Iterator[tuple[str, str]]:
        yield from super().named_visits()
        yield from (("periods", name) for period in self.periods for name in period)

    def faults(self, setting: Setting) -> Iterator[Fault]:
        """Yield what is wrong with it; deaths need a direction, and a later period that ends in follow-up."""
        yield from super().faults(setting)
        if self.deaths is None:
            return
        if self.deaths not in setting.outcomes:
            near, known = nearest(self.deaths, setting.outcomes), ", ".join(setting.outcomes) or "none"
            hint = f"{near} time_to_event endpoints: {known}".strip()
            yield Fault("deaths", f"'{self.deaths}' is no time_to_event endpoint", hint)
        if self.direction not in ("increase", "decrease"):
            text = f"{self.id}: deaths rank beyond a difference of slopes whose direction is known"
            yield Fault("deaths", text, "statistic: slope_difference, direction: increase or decrease")
        last = [name for period in self.periods for name in period][-1:]
        phase = (setting.phases or {}).get(last[0]) if last else None
        if phase and phase != "follow_up":
            text = f"{self.id}: the direction says which period is worse only where the drug comes first"
            yield Fault("periods", text, "end the later period with a visit of follow-up")


def slope_name(measured: str) -> str:
    """Return the name in scores.csv of the slopes of a score or variable.

    Parameters
    ----------
    measured
        Name of the score or variable.
    """
    return f"{measured}.slope"
