"""What is compared: visits, roles, scales, methods. Filled from a trial file, a study file or a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from immunolab.errors import InputError, unknown_words
from immunolab.schema.contrast import Contrast
from immunolab.study.families import DeclaredFamily

Scale = Literal["logit", "arcsine", "log", "identity"]
Test = Literal["auto", "t", "wilcoxon", "signflip", "count_weighted", "mixed", "binomial_mixed"]
Adjust = Literal["auto", "bh", "holm", "none"]
Role = Literal["primary", "secondary", "exploratory"]
SecondaryRule = Literal["holm", "fixed_sequence", "max_t"]

ROLES: tuple[Role, ...] = ("primary", "secondary", "exploratory")


@dataclass(frozen=True)
class Noise:
    """One source of change that is none: between assays of one blood, or within a person from day to day.

    Attributes
    ----------
    s_w
        Standard deviation of one measurement on the endpoint's scale, counting error removed; with ``relative`` of
        its logarithm, which is about the coefficient of variation.
    df
        Degrees of freedom it was estimated with; infinite where it is taken as known.
    source
        Where it comes from, in words for the report.
    s_total
        Standard deviation before counting error was removed; None when it equals `s_w`.
    s_log
        Standard deviation of the logarithm in the same repeats; where it is given, the greater of the two at each
        patient's level is used, for shares above half vary alike on neither scale for sure.
    relative
        Whether it is of the logarithm of the value; it is then carried to the endpoint's scale at each patient's level.
    person
        Whether it holds the variation within a person from day to day.
    gates
        Whether the placing of gates is in it, so that it is not added once more.
    across_batches
        Whether it was measured across batches, so that it holds what batches differ by.
    assumed
        Whether it is a published or assumed value instead of one that the study or laboratory measured.
    """

    s_w: float
    df: float
    source: str = "declared"
    s_total: float | None = None
    s_log: float | None = None
    relative: bool = False
    person: bool = False
    gates: bool = True
    across_batches: bool = False
    assumed: bool = False


@dataclass(frozen=True)
class Plan:
    """A comparison, declared before the data are looked at.

    Attributes
    ----------
    before, after
        A visit label, several joined by commas, or a phase (baseline, on_treatment, follow_up); several visits
        are averaged within a patient on the endpoint's scale.
    roles
        Endpoint -> role; an endpoint not named is exploratory. Order counts for ``fixed_sequence``.
    scales
        Endpoint -> scale, where the unit's own scale is not wanted.
    test
        Method of every endpoint. ``auto`` is the paired t: moderated across ten or more counted shares of
        whatever role, in place of it a count model where events are few (`few_events`), and a mixed model where
        pairs are missing and other visits are between (`repeated_visits`). The other words are those methods alone.
    adjust
        ``auto`` goes by role (primary none, secondary by `secondary`, exploratory Benjamini-Hochberg); the
        other words treat all endpoints of a cohort as one family.
    secondary
        Rule of the secondary family.
    families
        Declared families, in the order of their gates; they come before the families of the roles.
    controls
        Negative control -> its margin of equivalence, a ratio or in the endpoint's unit; None where none is declared.
        They are in no family.
    moderated
        Whether ``auto`` borrows variance over ten or more counted shares.
    noise
        Assay noise for the per-patient verdicts, one for all or one per endpoint. Repeat baselines of 8 degrees of
        freedom and replicates come before it; without any of them, published values are assumed for gated subsets.
    within_person
        Variation within a person from day to day, one for all or one per endpoint; None takes the published value of
        the subset, or an assumed one. Not used where repeat baselines hold it.
    bridges
        Patient ids that are no patients but a material measured again and again (a bridging control): they are left out
        of the comparison, and their rows give the noise between assays.
    batch
        ``sample_id`` -> batch; when given, estimable shifts are adjusted for batch.
    unbatched
        Endpoints that no batch touches (a score of the patient, a result of the clinic's laboratory).
    covariates
        Columns of the endpoint table whose change enters the fit.
    reference
        The control arm, which the others are compared with; empty takes the one cohort that is named like one (placebo,
        control ...), and without one no cohort is compared with another.
    arms
        The active arms among the cohorts; empty takes every cohort but the reference.
    seed
        Of the Monte Carlo sign flips.

    Raises
    ------
    InputError
        A test, a scale or a rule of adjustment that does not exist.
    """

    before: str
    after: str
    roles: Mapping[str, Role] = field(default_factory=dict)
    scales: Mapping[str, Scale] = field(default_factory=dict)
    test: Test = "auto"
    adjust: Adjust = "auto"
    secondary: SecondaryRule = "holm"
    families: tuple[DeclaredFamily, ...] = ()
    controls: Mapping[str, float | None] = field(default_factory=dict)
    moderated: bool = True
    noise: Noise | Mapping[str, Noise] | None = None
    within_person: Noise | Mapping[str, Noise] | None = None
    bridges: tuple[str, ...] = ()
    batch: Mapping[str, str] = field(default_factory=dict)
    unbatched: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    reference: str = ""
    arms: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        problems = unknown_words(
            test=(self.test, get_args(Test)),
            adjust=(self.adjust, get_args(Adjust)),
            secondary=(self.secondary, get_args(SecondaryRule)),
            **{f"scale of {name}": (scale, get_args(Scale)) for name, scale in self.scales.items()},
        )
        if problems:
            raise InputError(problems)

    @property
    def contrast(self) -> Contrast:
        """Its two sides."""
        return Contrast(self.before, self.after)

    def role(self, endpoint: str) -> Role:
        """Return the role an endpoint is tested in.

        Parameters
        ----------
        endpoint
            Endpoint id.

        Returns
        -------
        str
            ``primary``, ``secondary`` or ``exploratory``; the last where the plan names none.
        """
        return self.roles.get(endpoint, "exploratory")


@dataclass(frozen=True)
class Compared:
    """One comparison that was made.

    Attributes
    ----------
    plan
        Visits, roles, scales and tests.
    endpoints
        Ids of the endpoints compared.
    family
        Name of the set in which p values are adjusted together.
    """

    plan: Plan
    endpoints: tuple[str, ...]
    family: str = ""
