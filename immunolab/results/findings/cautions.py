"""Sentences that hold for the whole report, whatever it found: the design, selection, small numbers."""

from __future__ import annotations

from collections.abc import Iterator

from immunolab.results.run import Run
from immunolab.vocabulary.display_names import display_name

SINGLE_ARM = (
    "Single-arm, uncontrolled: a change from before to after cannot be attributed to the drug alone "
    "(concomitant steroids, regression to the mean and time itself may move the same cells)."
)
SEVERAL_COHORTS = (
    "Cohorts are described side by side. A change that is clear in one cohort and not in another is not a "
    "difference between cohorts."
)
ARMS = (
    "Each arm's own change is described; whether arms differ is said by their difference alone. A change that is clear "
    "in one arm and not in another is not a difference between them."
)
SMALL_COHORT = 20  # patients; below it a cohort is called small in the cautions (judgement)
DISCLOSURE = (
    "Small numbers: a cohort here has fewer than {least} patients. In a rare disease the pattern of visits, scores and "
    "doses can show who somebody is, even under a study code. Pages and figures of single patients are for those who "
    "treat them; before anything is passed on, leave those out and suppress cells of fewer than 5 patients."
)


def cautions(run: Run) -> tuple[str, ...]:
    """Return the sentences that hold for the whole report, whatever it found.

    Parameters
    ----------
    run
        The finished run.
    """
    several = SEVERAL_COHORTS if run.table("arms").empty else ARMS
    first = several if len(run.cohorts) > 1 else SINGLE_ARM
    sizes = [len({s.patient_id for s in run.samples if s.cohort == cohort}) for cohort in run.cohorts]
    first = " ".join([first, *_selection(run)])
    small = any(0 < size < SMALL_COHORT for size in sizes)
    return (first, DISCLOSURE.format(least=SMALL_COHORT)) if small else (first,)


def _selection(run: Run) -> Iterator[str]:
    """Yield what selection does to a change that only one visit before treatment is counted from."""
    trial = run.study.trial
    known = set(run.table("regression_to_mean")["selected_by"])
    for one in trial.selection if trial else ():
        if one.rule not in known:
            name = display_name(one.measure)
            yield (
                f"Patients were selected by {one.rule.replace(one.measure, name)} at {one.visit}; without a second "
                f"visit before treatment, how much of the change of {name} and of what goes with it is regression to "
                "the mean is not known."
            )
