"""What every endpoint of a trial states, whatever its statistic, and what it can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from immunolab.config import NOT_A_KEY
from immunolab.schema.contrast import Contrast

if TYPE_CHECKING:
    import pandas as pd

    from immunolab.study.endpoints.counts import CountedValue, SampleCounts

Role = Literal["primary", "secondary", "exploratory"]
Direction = Literal["increase", "decrease", "none", "no_increase", "none_or_decrease", "unstated"]
Figure = Literal["pairs", "slopes", "response", "event", "survival"]


@dataclass(frozen=True)
class Needs:
    """What has to be there before an endpoint has a value.

    Attributes
    ----------
    populations
        Gated populations, the denominator among them.
    variables, scores, assays
        Names in the measurements, of clinical scores, and of assays (a variable, or the part of its name before a dot).
    outcomes
        Endpoint ids in outcomes.csv.
    blood_count
        Whether the sheet must give lymphocytes_per_ul.
    beads
        Whether the sheet must give beads_per_tube and volume_ul.
    """

    populations: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    assays: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    blood_count: bool = False
    beads: bool = False


@dataclass(frozen=True)
class Period:
    """A stretch of time between visits, over which a slope is fitted."""

    visits: tuple[str, ...]

    @property
    def first(self) -> str:
        """The visit it begins with."""
        return self.visits[0]

    @property
    def last(self) -> str:
        """The visit it ends with: a slope is kept in the row of this visit."""
        return self.visits[-1]

    def __str__(self) -> str:
        """Return ``W0 to W24``."""
        return " to ".join(self.visits)


@dataclass(frozen=True)
class Setting:
    """What an endpoint is checked against.

    Attributes
    ----------
    phases
        Phase of each visit of the trial; None without a trial, where any visit may be named.
    outcomes
        Ids of the endpoints that wait for an event.
    """

    phases: Mapping[str, str] | None
    outcomes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What is wrong with an endpoint: under which key ("" for the whole), what, and how to fix it."""

    key: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What a trial compares. One subclass a statistic; this class holds what all of them state.

    Attributes
    ----------
    unit
        Of the value, where it is not the statistic's own.
    visits
        Where it is measured.
    contrast
        The visits it is registered to be compared at: before, after.
    margin
        Of a negative control: greatest change that counts as none, a ratio (odds ratio of shares) or in the unit.
    family
        Set in which it is moderated and adjusted for multiplicity with others; empty for what the trial registers
        (``cells``, ``clusters of cells`` for what single cells add).
    repeats
        Id of the endpoint that this one measures once more on single cells; empty for all others.
    part_of
        Id of the registered endpoint that this is one measure of; empty for all others.
    """

    id: str
    source: str
    role: Role = "secondary"
    unit: str | None = None
    visits: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    direction: Direction = "unstated"
    negative_control: bool = False
    margin: float | None = None
    parent_source: str = ""
    rule: str = ""
    note: str = ""
    verified: bool = True
    family: str = field(default="", metadata=NOT_A_KEY)
    repeats: str = field(default="", metadata=NOT_A_KEY)
    part_of: str = field(default="", metadata=NOT_A_KEY)

    statistic: ClassVar[str] = ""
    counted: ClassVar[bool] = False  # by counting cells of gated populations
    paired: ClassVar[bool] = True  # has a value before and one after
    clinical_change: ClassVar[bool] = False  # its change is set against that of the cells
    is_course: ClassVar[bool] = False  # the clinic's: a value at each visit that can be drawn over time
    of_one_day: ClassVar[bool] = True  # a value belongs to the day of its visit
    noise_parts: ClassVar[int] = 0  # subsets whose inter-assay variance its logarithm carries
    by_beads: ClassVar[bool] = False  # counted against beads of the same tube
    figure: ClassVar[Figure] = "pairs"  # of the report, that shows it

    @property
    def needs(self) -> Needs:
        """What has to be there before it has a value."""
        return Needs()

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What is measured: two endpoints with the same identity are one."""
        names = self._names()
        return (self.statistic, *names) if any(names) else (self.statistic, self.id)

    def _names(self) -> tuple[str | None, ...]:
        return ()

    @property
    def share(self) -> tuple[str, str] | None:
        """The population and the parent it is a percentage of; None for what is no percentage of a parent."""
        return None

    @property
    def parts(self) -> tuple[str, str] | None:
        """The populations whose events ``n_events`` and ``n_parent`` are; None for what is not counted."""
        return None

    @property
    def slopes(self) -> tuple[Period, Period] | None:
        """The two periods whose slopes are compared; None for what is no slope."""
        return None

    @property
    def fitted(self) -> str:
        """The score or variable that slopes are fitted to, or that is measured."""
        return self.id

    @property
    def ratio(self) -> tuple[str, str] | None:
        """The numerator and the denominator; None for what is no ratio of two populations."""
        return None

    @property
    def death_endpoint(self) -> str | None:
        """The endpoint whose events rank beyond any change of this one; None where nothing does."""
        return None

    @property
    def response(self) -> str | None:
        """The score whose responders are counted; None for what is no response."""
        return None

    @property
    def reference_rate(self) -> float | None:
        """The percentage of responders that theirs is tested against; None where none is declared."""
        return None

    @property
    def mark(self) -> str:
        """What a mark on a patient's time line says where the value is 1; empty for what is no event."""
        return ""

    @property
    def label(self) -> str:
        """What is measured, in words: ``Treg, % of CD4``."""
        return self.id

    @property
    def registered(self) -> Contrast | None:
        """The registered visits; None when there are none."""
        return Contrast(*self.contrast) if len(self.contrast) == 2 else None

    @property
    def timing(self) -> tuple[str, ...]:
        """The visits it is about: those compared, else those it is measured at."""
        return self.contrast or self.visits

    @property
    def scale(self) -> Literal["identity"] | None:
        """The scale it is compared on where its unit does not say it; None where it does."""
        return None

    def expanded(self) -> Iterator[Endpoint]:
        """Yield one endpoint a denominator and variable."""
        yield self

    def companions(self, *, absolute: bool, beads: bool = False) -> Iterator[Endpoint]:
        """Yield what is shown beside it because shares of one parent sum to 100 %.

        Parameters
        ----------
        absolute, beads
            Whether lymphocytes were counted, and whether tubes hold counting beads.
        """
        yield from ()

    def joint_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the (population, denominator) pairs whose shared events have to be counted."""
        return ()

    def measure(self, counts: SampleCounts) -> CountedValue | None:
        """Return its value in a sample, or None where the sample's populations cannot answer it."""
        return None

    def value_of(self, n_events: int, n_parent: int, lymphocytes_per_ul: float | None = None) -> float | None:
        """Return the value that counts make; None where it cannot be evaluated.

        Parameters
        ----------
        n_events, n_parent
            Events of the population (numerator) and of its denominator.
        lymphocytes_per_ul
            Blood count of the same sample; None where there is none.

        Returns
        -------
        float
            In the unit of the endpoint.
        """
        return None

    def with_limits(self, value: CountedValue, gate_sd: Mapping[tuple[str, str], float]) -> CountedValue:
        """Return a value with 95 % limits from counting and from the gates' uncertainty (SE on the logit scale).

        Parameters
        ----------
        value
            Without limits.
        gate_sd
            Standard error on the logit scale by (population, denominator).
        """
        return value

    def records(self, measurements: pd.DataFrame, scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        """Return the name it is measured under and its rows of the measurements or scores.

        Parameters
        ----------
        measurements
            Rows of MEASUREMENTS.
        scores
            Rows of SCORES.
        """
        return self.id, measurements.iloc[:0]

    def faults(self, setting: Setting) -> Iterator[Fault]:
        """Yield what is wrong with it, but for names of visits."""
        if self.contrast and len(self.contrast) != 2:
            yield Fault("contrast", "name two visits", "[before, after]")
        if self.negative_control and self.role == "primary":
            yield Fault("negative_control", "a primary endpoint is no negative control", "secondary or exploratory")
        if self.margin is not None and not self.negative_control:
            yield Fault("margin", "a margin of equivalence is of negative controls", "add negative_control: true")
        elif self.margin is not None and (self.margin <= 0 or (self.counted and self.margin == 1)):
            yield Fault("margin", "a margin must be above 0, of counted endpoints a ratio other than 1", "margin: 1.5")
        if text := self._incomplete():
            yield Fault("", f"{self.id}: {text}", "see docs/trial_file.md")

    def named_visits(self) -> Iterator[tuple[str, str]]:
        """Yield (key, visit) of every visit it names."""
        yield from (("visits", name) for name in self.visits)
        yield from (("contrast", name) for name in self.contrast)

    def _incomplete(self) -> str:
        return ""

    def _stated(self, **changes: Any) -> dict[str, Any]:
        """Return what every endpoint states, with changes, to make an endpoint of another statistic of it."""
        return {f.name: getattr(self, f.name) for f in fields(Endpoint)} | changes
