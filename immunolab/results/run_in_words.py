"""A finished run in words, for the Python prompt and for notebooks: every registered endpoint, primary first."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from immunolab.results.findings import EndpointFinding, findings
from immunolab.results.run import Run, Wording
from immunolab.results.sentences import change_in_short


def in_words(run: Run) -> str:
    """Return what the run is, and below it one line an endpoint, as the first screen of the report says it.

    Parameters
    ----------
    run
        The finished run.
    """
    lines = [f"  {role}: {plain}" + (f"\n    {size}" if size else "") for role, _, plain, size in _answers(run)]
    return "\n".join([headline(run), *(lines or ["  nothing was measured of a registered endpoint"])])


def in_html(run: Run) -> str:
    """Return the same as a table of role, endpoint, finding and test.

    Parameters
    ----------
    run
        The finished run.
    """
    headings = "".join(f"<th>{name}</th>" for name in ("Role", "Endpoint", "Finding", "Test"))
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in _answers(run))
    return f"<p>{escape(headline(run))}</p><table><tr>{headings}</tr>{rows}</table>"


def headline(run: Run) -> str:
    """Return ``Run of Virtual ALS (simulated data): 10 patients, 20 samples``.

    Parameters
    ----------
    run
        The finished run.
    """
    patients = len({s.patient_id for s in run.samples})
    simulated = " (simulated data)" if run.study.simulated else ""
    return f"Run of {run.study.name}{simulated}: {patients} patients, {len(run.samples)} samples{failed_in_words(run)}"


def failed_in_words(run: Run) -> str:
    """Return ``, 1 failed`` of the patients' samples and ``, 2 controls failed`` of all other tubes; "" of none.

    Parameters
    ----------
    run
        The finished run.
    """
    own = {sample.sample_id for sample in run.samples}
    of_patients, controls = len(own & set(run.failed)), len(set(run.failed) - own)
    said = f", {of_patients} failed" if of_patients else ""
    return said + (f", {controls} control{'s' if controls > 1 else ''} failed" if controls else "")


def _answers(run: Run) -> Iterator[tuple[str, str, str, str]]:
    """Yield cohort and role, name, sentence and test in short of every registered endpoint that was measured."""
    for one in findings(run):
        if one.verdict != "not_measured":
            yield f"{one.cohort} {one.role}".strip(), one.name, one.plain, _test(run, one)


def _test(run: Run, one: EndpointFinding) -> str:
    """Return estimate, interval, n, p and q of an endpoint that is one row of SHIFTS; "" of others."""
    rows = run.shifts_of(one.cohort)
    rows = rows[rows["endpoint"] == one.figure]
    return change_in_short(rows.iloc[0]) if len(rows) == 1 else ""


WORDING = Wording(in_words, in_html)
