"""What to do about what a check found, in one plain sentence: for who runs the cytometer and who reads its tubes."""

from __future__ import annotations

from collections.abc import Mapping

from immunolab.schema.flags import Check

_CUT = "What is red in the picture of the run is left out of gates; acquire again where few events are left."
_TOP = "Lower this detector's voltage or gain next time; do not read medians or gates near the top of the channel."
_CELLS = "Look at how the sample was thawed, washed and loaded before its cells are compared with others'."
_STAIN = "Ask which antibodies went into this tube, and read no gate on the named markers until that is known."
_DATES = "Compare the sheet's dates with the cytometer's: two files may be exchanged."
ADVICE: Mapping[Check, str] = {
    Check.STEADINESS: _CUT,
    Check.CLEANED: _CUT,
    Check.SLOW_DRIFT: "Nothing is cut: compare the first and the last third of the run before a border in this channel "
    "is believed.",
    Check.FLOW_RATE: "Look for a clog or air: where the flow is fast, cells come two at a time.",
    Check.TIME_GAP: "Ask whether the run was paused; if not, look for a clog, and compare levels before and after.",
    Check.TIME_SET_BACK: "Ask whether two tubes were recorded into one file; if so, export each by itself.",
    Check.TIME_STUCK: "Ask for the cytometer's own file: rate and pauses cannot be seen here.",
    Check.TIME: "Ask for the cytometer's own file, with Time and in its order: rate and pauses cannot be seen here.",
    Check.REPEATED_EVENTS: "Export the file again: copied events count twice.",
    Check.NO_SIGNAL: "Ask whether laser and detector were on; read no gate on this channel.",
    Check.MARGIN: _TOP,
    Check.SATURATION: _TOP,
    Check.NOT_A_NUMBER: "Export the file again: a channel of these events holds no number.",
    Check.COMPENSATION: "Compensate (spectral: unmix) with that day's single-stained controls before any gate is read.",
    Check.RESIDUAL_SPILLOVER: "Look at that day's single-stained controls of the pair; read gates on the second "
    "channel with care for cells bright in the first.",
    Check.RESIDUAL_ON_GATES: "Correct the matrix by what spillover.csv says is left, and run again before this "
    "population is believed.",
    Check.HYPER_NEGATIVE: "Look at this channel in that day's matrix and single stains: too much is taken off.",
    Check.EVENTS: "Acquire more if cells are left; read rare populations by their intervals.",
    Check.DOUBLETS: "Gate single cells; dilute the sample or slow the flow next time.",
    Check.DEAD: "Gate living cells; look at how this sample was thawed and how long it stood.",
    Check.DEBRIS: "Look at lysis and washing, and whether the scatter threshold cuts off cells.",
    Check.BEADS: "Look at the bead gate, and at the beads given and their lot, before counts per volume are read.",
    **dict.fromkeys(
        (
            Check.CELLS_KEPT,
            Check.COUNTS,
            Check.GENES,
            Check.MITOCHONDRIAL_PERCENT,
            Check.DOUBLET_SCORE,
            Check.COUNTS_OVER_EMPTY,
            Check.AMBIENT_PERCENT,
            Check.PROTEIN_COUNTS,
        ),
        _CELLS,
    ),
    Check.EXCHANGED: _STAIN,
    Check.CROSSED_LABELS: "Compare this file's detectors with another tube's of the panel; a panel file of its own can "
    "name them as they are.",
    Check.ABSENT_STAIN: _STAIN,
    Check.ABSENT_POPULATION: _STAIN,
    Check.IDENTITY: "Compare the labels of this tube and of the other patient's; leave it out until that is settled.",
    Check.NAMED_OTHER: "Compare the sheet's row with the file's name and header: another tube's file may be given.",
    Check.ACQUIRED_ORDER: _DATES,
    Check.ACQUIRED_EARLY: _DATES,
    Check.BRIDGE: "Look at this control's vial, antibody lots and cytometer settings of that day before its batch.",
    Check.BRIDGE_REFUSED: "Borders of this batch are not corrected; stain the control again if a vial is left.",
    Check.HEADER: "Ask for the cytometer's own file where this is not expected.",
    Check.FILE_NOTE: "Nothing to do.",
    Check.GATE: "Look at the panel of this tube: the gate is left out of its counts.",
}
"""What to do, by check: for every check that has a light."""
_IF_FAILED: Mapping[Check, str] = {
    Check.STEADINESS: "Acquire again, or export the part of the run that is sound: no part is surely right, so nothing "
    "is cut.",
    Check.EVENTS: "Acquire or export the tube again: it is empty.",
    Check.HEADER: "Copy or export the file again.",
}


def advice(check: str, status: str) -> str:
    """Return what to do about a check that warns or fails.

    Parameters
    ----------
    check
        Name of the check.
    status
        ``warn`` or ``fail``.
    """
    found = Check(check)
    return _IF_FAILED.get(found, ADVICE[found]) if status == "fail" else ADVICE[found]
