"""Every word by which a table qualifies a number or names what is wrong, with its meaning and rank.

A rank says what a reader may do with the number beside the word: **unusable** (it is withheld, or must not be used),
**doubtful** (it is shown, marked and to be reviewed), **note** (true of most laboratories, kept for the record).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal, Self

Rank = Literal["unusable", "doubtful", "note"]

LIMIT_OF_DETECTION = 20
"""Fewest events of a population that is detected; its counting CV is 22 % (Flores-Montero 2017, Leukemia 31:2094)."""
LIMIT_OF_QUANTIFICATION = 50
"""Fewest events of a percentage that is quantified; its counting CV is 14 % (the same source)."""


class DeclaredWord(StrEnum):
    """A declared word.

    Attributes
    ----------
    rank
        What may be done with the number it qualifies.
    meaning
        In words.
    """

    rank: Rank
    meaning: str

    def __new__(cls, word: str, rank: Rank = "note", meaning: str = "") -> Self:
        """Make a member of its word, its rank and its meaning; called with the word alone it finds the member."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.rank = rank
        member.meaning = meaning
        return member


class Flag(DeclaredWord):
    """Words of the ``flag`` columns."""

    EMPTY_PARENT = "empty_parent", "unusable", "the parent holds no event: there is no percentage"
    BELOW_LOD = "below_lod", "doubtful", f"fewer than {LIMIT_OF_DETECTION} events or cells: not detected"
    BELOW_LOQ = "below_loq", "doubtful", f"fewer than {LIMIT_OF_QUANTIFICATION} events or cells: not quantified"
    ZERO_EVENTS = "zero_events", "doubtful", "a ratio with no event on one side; half an event is added to both"
    NO_BEADS = "no_beads", "unusable", "no beads in the tube, or none in the sheet: no count by them"
    FEW_BEADS = "few_beads", "doubtful", "too few beads: their counting error is over a twentieth of the count"
    BEAD_GATE = "bead_gate", "doubtful", "the bead gate is uncertain: beads and other events are not apart"
    NO_LYMPHOCYTE_COUNT = "no_lymphocyte_count", "unusable", "no blood count: there is no absolute count"
    NO_UNSTIMULATED = "no_unstimulated", "unusable", "a stimulated tube without its unstimulated control: no difference"
    OWN_BORDER = (
        "own_border",
        "doubtful",
        "a stimulated tube and its control have different borders: their difference holds that of the borders",
    )
    NO_VALUE = "no_value", "unusable", "the measurement has no value"
    BELOW_LIMIT = "below_limit", "doubtful", "below the assay's range: the value is its lower limit"
    ABOVE_LIMIT = "above_limit", "doubtful", "above the assay's range: the value is its upper limit"

    NO_BORDER = "no_border", "unusable", "no method found a border, or a border over which there is no group of events"
    IMPLAUSIBLE = (
        "implausible",
        "unusable",
        "a share that no adult's blood is known to have, of this population or of one that it depends on",
    )
    NO_SIGNAL = (
        "no_signal",
        "unusable",
        "gated on a channel that reads one value in every event, or on cells that are: nothing was recorded",
    )
    OUT_OF_RANGE = "out_of_range", "doubtful", "a share outside what adult blood has, in health or disease"
    T_CELLS_UNASSIGNED = "t_cells_unassigned", "doubtful", "over 40 % of the T cells are neither CD4 nor CD8"
    MOSTLY_DEAD = (
        "mostly_dead",
        "doubtful",
        "over half of the cells are called dead, here or in a population that it depends on: the sample, or the border "
        "of the viability dye, is in doubt",
    )
    STAINING = (
        "staining",
        "doubtful",
        "markers do not go together as they do on cells: an antibody may be missing or exchanged, or a signal be left "
        "in another's channel",
    )
    AT_SCATTER_END = (
        "at_scatter_end",
        "doubtful",
        "most of the lymphocytes are at the highest value of a scatter channel: counting beads, or too high a gain",
    )
    TOO_FEW_EVENTS = "too_few_events", "doubtful", "the border was estimated from too few events"
    NO_VALLEY = "no_valley", "doubtful", "the density has no valley between two groups of events"
    NO_PEAK = "no_peak", "doubtful", "the population is densest at its border: it is the flank of another group"
    UNIMODAL = "unimodal", "doubtful", "the two groups overlap so far that they may be one"
    NO_POSITIVES = (
        "no_positives",
        "doubtful",
        "no group of positive events: what is beyond the border is the tail of the negative ones",
    )
    BEYOND_DATA = "beyond_data", "doubtful", "the border is beyond the events it was estimated from"
    AT_ZERO_NOISE = "at_zero_noise", "doubtful", "the border is at the upper end of what zero reads in a mass channel"
    ANCESTOR_VALLEY = "ancestor_valley", "doubtful", "the border is the valley of a population above the parent"
    EXCLUSION_MISSING = (
        "exclusion_missing",
        "doubtful",
        "the panel cannot gate a population that the definition excludes: its cells are counted here",
    )
    NO_REFERENCE = "no_reference", "doubtful", "no internal reference population was found"
    SMALL_REFERENCE = "small_reference", "doubtful", "the internal reference population has too few events"
    DOUBTFUL_REFERENCE = (
        "doubtful_reference",
        "doubtful",
        "the border was placed beside naive cells of another lineage whose own gate is doubtful",
    )
    NO_CORNER_CLOUD = "no_corner_cloud", "doubtful", "no cloud of events was found in the corner of two channels"
    CONTROL_MISMATCH = "control_mismatch", "doubtful", "the control is of another panel or has too few events"
    FMO_DENSITY_DISAGREE = "fmo_density_disagree", "doubtful", "the control's border is far from the density's valley"
    SATURATED = "saturated", "doubtful", "events pile up at the top of the detector"
    WIDE_INTERVAL = (
        "wide_interval",
        "doubtful",
        "a border's 95 % interval holds over 20 % of the parent's events, or the count's interval spans threefold: the "
        "percentage depends on where the gate is put",
    )
    NOT_SET_APART = (
        "not_set_apart",
        "doubtful",
        "the cloud goes over into its surroundings: over 40 % of the events up to the next valley are outside",
    )
    CUTS_CLOUD = (
        "cuts_cloud",
        "doubtful",
        "the CD25 border removes over half of the cells that FOXP3 itself sets apart",
    )
    UNLIKE_TEMPLATE = (
        "unlike_template",
        "doubtful",
        "the tube's events are not where the template's clouds, moved within bounds, would have them",
    )
    DRIFT = "drift", "doubtful", "the sample's own border is far from the one it shares"
    OUTLYING = (
        "outlying",
        "doubtful",
        "the border is far from where the study's other patients have it: theirs would change the count by a fifth",
    )
    BORROWED = "borrowed", "note", "the patient's own events show no border: it is that of the study's other patients"
    BY_HAND = "by_hand", "note", "the gate was drawn or moved by hand after gating"
    OVERRIDDEN = (
        "overridden",
        "note",
        "a reader placed the gate (overrides.csv): how far the share depends on it is not known",
    )
    BELOW_OVERRIDE = (
        "below_override",
        "note",
        "depends on a gate that a reader placed: how far the share depends on gates is not known",
    )
    STALE_OVERRIDE = (
        "stale_override",
        "doubtful",
        "a reader replaced the gate, but not for these events: the automatic gate counts (overrides.csv says why)",
    )
    NO_FMO = "no_fmo", "note", "there is no FMO control"
    NO_UNSTAINED = "no_unstained", "note", "there is no unstained control"

    NOT_EVALUABLE = "not_evaluable", "unusable", "the definition cannot be evaluated: reason says why"
    NOT_AT_RISK = "not_at_risk", "note", "the patient could not have the event, and is outside its denominator"
    NOT_FOLLOWED = "not_followed", "unusable", "the patient could have the event and was not seen in its window"
    EVENT_OUTSIDE_WINDOW = "event_outside_window", "note", "the event was first seen after the registered window"
    EVENT_BELOW_LEVEL = (
        "event_below_level",
        "note",
        "the event was seen at a value that its definition calls low",
    )
    INCOMPLETE = "incomplete", "doubtful", "a part is missing that could not change the result"
    UNVERIFIED = "unverified", "note", "the definition was not checked against its source"
    AT_LIMIT_OF_SCALE = "at_limit_of_scale", "doubtful", "a value of the slope is at the end of the score's range"
    CENSORED_PART = "censored_part", "doubtful", "a part of the curve is beyond the assay's limits"

    OTHER_PANEL = (
        "other_panel",
        "note",
        "the patient's values are of another panel than most patients': of the first that has the compared visits",
    )
    MEAN_OF_N = "mean_of_N", "note", "mean of N replicates; N is a number"
    PARTLY_OUT_OF_RANGE = "partly_out_of_range", "doubtful", "some of the replicates are beyond the assay's range"
    EXTRAPOLATED = "extrapolated", "doubtful", "the instrument extrapolated beyond its standard curve"

    TOO_FEW_CELLS = "too_few_cells", "unusable", "too few cells for a score"
    FEW_COUNTS = "few_counts", "unusable", "too few counts of the gene to test it"
    MISSING_GENES = "missing_genes", "unusable", "fewer than half of the signature's genes were measured"
    TOO_FEW_PAIRS = "too_few_pairs", "doubtful", "too few pairs for an interval and limits of agreement"

    DISPLAY_BINS = (
        "display_bins",
        "note",
        "the counts differ by no more events than FlowJo's display of 256 bins explains",
    )
    ONLY_HERE = "only_here", "doubtful", "the population was counted here only"
    ONLY_THERE = "only_there", "doubtful", "the population was counted in the other program only"


class Check(DeclaredWord):
    """Names of checks in ``quality.csv``; the rank is that of a check that fails or warns."""

    EVENTS = "events", "doubtful", "number of events acquired"
    NOT_A_NUMBER = "not_a_number", "unusable", "events that hold NaN or infinity in any channel"
    MARGIN = "margin", "doubtful", "percent of events at the top of the detector where most are"
    STEADINESS = "steadiness", "doubtful", "percent of events in stretches that leave the run's level in any channel"
    SLOW_DRIFT = "slow_drift", "doubtful", "how far a channel's level moves slowly over the run, sd of a population"
    FLOW_RATE = "flow_rate", "doubtful", "percent of events in stretches acquired much slower or faster than the run"
    TIME_GAP = "time_gap", "doubtful", "longest pause between two events, percent of the run's time"
    TIME = "time", "note", "whether the file has a Time channel that rises: without it neither rate nor pauses are seen"
    TIME_SET_BACK = "time_set_back", "doubtful", "how often Time begins anew: files joined, or the clock set back"
    TIME_STUCK = "time_stuck", "doubtful", "percent of events over which Time stands still: the clock stopped"
    REPEATED_EVENTS = "repeated_events", "doubtful", "percent of events that are copies of an earlier one"
    CLEANED = "cleaned", "doubtful", "percent of the file's events that were cut, as removed_stretches.csv says"
    SATURATION = "saturation", "doubtful", "percent of events at the highest value of a channel, where they pile up"
    NO_SIGNAL = "no_signal", "doubtful", "number of channels that read one value in every event: nothing was recorded"
    DOUBLETS = "doublets", "doubtful", "percent of cells that are two by area against height"
    DEAD = "dead", "doubtful", "percent of single cells that the viability dye stains"
    DEBRIS = "debris", "doubtful", "percent of events below the cells in forward scatter"
    COMPENSATION = "compensation", "doubtful", "whether a conventional cytometer's file was compensated"
    HYPER_NEGATIVE = "hyper_negative", "doubtful", "percent of events far below zero in a compensated channel"
    RESIDUAL_SPILLOVER = (
        "residual_spillover",
        "doubtful",
        "what a dye still adds to another channel after compensation, percent of the dye's signal",
    )
    RESIDUAL_ON_GATES = (
        "residual_on_gates",
        "doubtful",
        "percent of itself by which a population's share changes where what compensation leaves is taken off",
    )
    HEADER = "header", "doubtful", "what is unusual about the file, in words"
    FILE_NOTE = (
        "file_note",
        "note",
        "what is known of the file and asks for nothing, as that it is unmixed",
    )
    GATE = "gate", "doubtful", "a gate that this tube does not allow"

    EXCHANGED = "exchanged", "doubtful", "two channels fit the panel's other tubes when they are exchanged"
    ABSENT_STAIN = "absent_stain", "doubtful", "no cell has a stain whose cells are there by their other markers"
    ABSENT_POPULATION = "absent_population", "note", "no cell has a stain, and its cells are not there by other markers"
    CROSSED_LABELS = (
        "crossed_labels",
        "doubtful",
        "share of the panel's tubes that name two detectors as this one does; most name them the other way round",
    )
    IDENTITY = "identity", "doubtful", "the tube looks like another patient's in what visits do not change"

    ACQUIRED_ORDER = (
        "acquired_order",
        "doubtful",
        "days by which the header's date contradicts the order of the patient's visits: files may be exchanged",
    )
    ACQUIRED_EARLY = "acquired_early", "doubtful", "the header's date is days before that of the blood in the sheet"
    NAMED_OTHER = (
        "named_other",
        "doubtful",
        "the file's name or header names another patient or visit of the sheet: files may be exchanged",
    )

    BRIDGE = "bridge", "doubtful", "farthest of a bridging control's charts from its other runs, sd"
    BRIDGE_REFUSED = "bridge_refused", "doubtful", "reasons for which borders do not follow a bridging control's tube"

    PLANNED_DAY = "planned_day", "note", "no date or study day in the sheet: the visit's target day is used"
    PLANNED_DOSES = "planned_doses", "note", "no recorded doses of this patient: the trial's calendar is used"
    OUT_OF_WINDOW = "out_of_window", "doubtful", "taken outside the visit's window"
    OUT_OF_PHASE = "out_of_phase", "doubtful", "taken outside the visit's phase"
    CARRY_OVER = "carry_over", "doubtful", "in follow-up, but the last dose is recent"
    STILL_DOSED = "still_dosed", "doubtful", "planned as follow-up, but the patient is still on the drug"
    DOSED_AT_BASELINE = "dosed_at_baseline", "doubtful", "planned as baseline, but a dose came before it"
    DOSES_OFF_CALENDAR = "doses_off_calendar", "note", "doses given or missed against the trial's calendar"

    BEADS = "beads", "doubtful", "number of counting beads in their gate"

    CELLS_KEPT = "cells_kept", "doubtful", "cells that pass every limit"
    COUNTS = "counts", "doubtful", "median counts of a cell"
    GENES = "genes", "doubtful", "median genes of a cell"
    MITOCHONDRIAL_PERCENT = "mitochondrial_percent", "doubtful", "median share of mitochondrial counts"
    DOUBLET_SCORE = "doublet_score", "doubtful", "median score of being two cells"
    COUNTS_OVER_EMPTY = "counts_over_empty", "doubtful", "median counts of a cell over those of the empty droplets here"
    AMBIENT_PERCENT = "ambient_percent", "doubtful", "share of a single cell's counts that is RNA of other cells"
    PROTEIN_COUNTS = "protein_counts", "doubtful", "median counts of surface proteins of a cell"


class Code(DeclaredWord):
    """Codes of a comparison. E stops the test it concerns, or everything; W is beside a result that is shown."""

    E_DUP_VISIT = "E_DUP_VISIT", "unusable", "two samples of one patient, visit and endpoint"
    E_NONFINITE = "E_NONFINITE", "unusable", "a value or count is infinite or not a number"
    E_NEG = "E_NEG", "unusable", "a negative count, or a negative value on a log scale"
    E_NONINT = "E_NONINT", "unusable", "a count is not a whole number"
    E_GT_PARENT = "E_GT_PARENT", "unusable", "more events than their parent has"
    E_PERCENT = "E_PERCENT", "unusable", "a percentage outside 0..100"
    E_TEXT = "E_TEXT", "unusable", "text in a number column"
    E_TWO_ARMS = "E_TWO_ARMS", "unusable", "a patient in two cohorts"
    E_ENDPOINT = "E_ENDPOINT", "unusable", "faulty rows of one endpoint: it is left out, the others are compared"
    E_N_MIN = "E_N_MIN", "unusable", "fewer than 3 pairs: described, not tested"
    E_FEW_EVENTS = (
        "E_FEW_EVENTS",
        "unusable",
        "fewer than 3 expected events at the poorer visit of a pair: described, not tested",
    )
    E_BATCH_ALIASED = (
        "E_BATCH_ALIASED",
        "unusable",
        "batch coincides with visit: no adjusted estimate exists, the unadjusted one is confounded",
    )
    W_N_SMALL = "W_N_SMALL", "doubtful", "3 to 5 pairs: an exact test cannot reach 0.05"
    W_ALL_ZERO = "W_ALL_ZERO", "unusable", "no event at either visit in any patient: not estimable, outside the family"
    W_IDENTICAL = "W_IDENTICAL", "doubtful", "all shifts are equal: no variance, so no p value"
    W_UNPAIRED = "W_UNPAIRED", "note", "patients lack one of the two visits: not among the pairs"
    W_MISSING_20 = "W_MISSING_20", "doubtful", "more than 20 % of the patients lack one of the two visits"
    W_MISSING_VALUE = "W_MISSING_VALUE", "note", "empty cells are taken as missing"
    W_PARENT0 = "W_PARENT0", "note", "an empty parent: the row is left out"
    W_LOW_EVENTS = (
        "W_LOW_EVENTS",
        "doubtful",
        "few events: median of a pair below 20, or a pair with less than one expected event",
    )
    W_N_IMBALANCE = (
        "W_N_IMBALANCE",
        "doubtful",
        "acquisitions differ over a hundredfold: count weighting has type I error up to 0.09",
    )
    W_BATCH_CONF = (
        "W_BATCH_CONF",
        "doubtful",
        "batch and visit nearly coincide: the adjusted interval is wide (variance inflation above 5)",
    )
    E_BATCH_DF = (
        "E_BATCH_DF",
        "unusable",
        "as many batches and covariates as pairs: nothing is adjusted for, the shift may be the batches'",
    )
    W_BATCH_TEST = "W_BATCH_TEST", "note", "the method asked for cannot adjust for batch: one that can is given"
    W_BATCH_UNKNOWN = "W_BATCH_UNKNOWN", "doubtful", "a sample has no batch: the shift is not adjusted for batch"
    W_COVARIATE = (
        "W_COVARIATE",
        "doubtful",
        "not adjusted for batch or covariate: missing, in step with the visit, or not in this model (few events)",
    )
    W_SINGULAR = (
        "W_SINGULAR",
        "note",
        "a variance of the mixed model is at zero: the mean of each patient is tested instead",
    )
    W_SLOPE0 = (
        "W_SLOPE0",
        "note",
        "no variance between responses in the mixed model: the mean of each patient is tested instead",
    )
    W_NOCONV = "W_NOCONV", "note", "the mixed model did not converge: the mean of each patient is tested instead"
    W_TIES = "W_TIES", "note", "equal shifts: mid-ranks, p exact all the same"
    W_ZERO_DIFF = "W_ZERO_DIFF", "note", "zero shifts dropped from the signed rank, whose shift is of the changed pairs"
    W_ZERO_VALUE = (
        "W_ZERO_VALUE",
        "doubtful",
        "values of 0 (or 100 %) without an assay's limit have no place on the scale: their patients have no change, "
        "the cohort takes them as below (above) every other value",
    )
    W_CENSORED = (
        "W_CENSORED",
        "note",
        "values beyond the assay's limits enter as that, not as the limit (censored normal pairs)",
    )
    W_AT_LIMIT = (
        "W_AT_LIMIT",
        "doubtful",
        "values beyond the assay's limits are taken as the limit by the method asked for: changes are too small",
    )
    E_CENSORED = (
        "E_CENSORED",
        "unusable",
        "too many values beyond the assay's limits, or several visits averaged with some: described, not tested",
    )
    W_NO_COUNTS = "W_NO_COUNTS", "note", "no counts: the paired t is used in place of the count method"
    W_CONTROL_MOVED = (
        "W_CONTROL_MOVED",
        "doubtful",
        "a negative control changed and is not shown equivalent: what moved it may have moved the other endpoints too",
    )
    W_COMPOSITION = (
        "W_COMPOSITION",
        "doubtful",
        "a large sibling changed: shares of one parent move together, see the log-ratio table",
    )
    W_ABSOLUTE_FLAT = (
        "W_ABSOLUTE_FLAT",
        "doubtful",
        "the share changes; the interval of the absolute count includes no change",
    )
    W_ARMS = "W_ARMS", "note", "which arms are compared, and which of them is the control"
    W_NO_CONTROL = (
        "W_NO_CONTROL",
        "note",
        "no control arm is declared: cohorts are described each by itself; of two arms in compare the first is taken",
    )
    W_K_SMALL = "W_K_SMALL", "note", "fewer than 10 counted shares: no moderation, plain t"
    W_UNIT = "W_UNIT", "doubtful", "no unit that says a scale: compared as differences, which may not be what fits"
    W_NEGATIVE = (
        "W_NEGATIVE",
        "doubtful",
        "an amount (a concentration, a count) has values below 0: compared as differences, not as ratios",
    )
    W_ALIKE = (
        "W_ALIKE",
        "doubtful",
        "patients or visits are spelled alike (P2 and p2, W0 and w0) and count as different",
    )
    W_FRACTION = "W_FRACTION", "doubtful", "percentages look like fractions 0..1; they were read as percent"
    W_MIXED_STATES = "W_MIXED_STATES", "doubtful", "samples of one side are of different cycle states"


READERS = frozenset({Flag.OVERRIDDEN, Flag.BELOW_OVERRIDE})
"""Flags of a population that a reader's gate reaches."""

UNQUANTIFIED = frozenset({Flag.BELOW_LOD, Flag.BELOW_LOQ, Flag.BELOW_LIMIT, Flag.ABOVE_LIMIT, Flag.TOO_FEW_EVENTS})
"""Flags of values outside what the assay can quantify; drawn with an open symbol."""

WITHHELD = frozenset({Flag.NO_BORDER, Flag.IMPLAUSIBLE, Flag.NO_SIGNAL, Flag.MISSING_GENES})
"""Flags of a population that was counted, but whose number is not shown, nor that of any share of it or in it."""

VERDICTS = {
    "rise": "the patient's change is beyond its limit (counting, assay, the person from day to day), and positive",
    "fall": "likewise, and negative",
    "within_noise": "the change is not beyond its limit; reason says what change would have been called",
    "not_evaluable": "a visit or the noise is missing, or batch cannot be set apart; reason says which",
}
STATUSES = {
    "ok": "within the limit",
    "warn": "beyond the limit: the sample is kept and to be reviewed",
    "fail": "the sample cannot be used as it is",
}


def split(words: object) -> list[str]:
    """Return the words of a ``flag``, ``warnings`` or ``codes`` field; a missing field holds none."""
    return [word for word in words.split(";") if word] if isinstance(words, str) else []


def shown(words: object) -> list[str]:
    """Return the words of a ``flag`` field that reports and figures show: unusable ones first, then doubtful ones."""
    ranked = [(flag(word).rank, word) for word in split(words)]
    return [word for rank in ("unusable", "doubtful") for found, word in ranked if found == rank]


def withheld(words: object) -> bool:
    """Whether a ``flag`` field withholds the number beside it."""
    return not WITHHELD.isdisjoint(split(words))


def flag(word: str) -> Flag:
    """Return a flag by its word; ``mean_of_3`` is `Flag.MEAN_OF_N`.

    Raises
    ------
    ValueError
        The word is not declared.
    """
    return Flag(re.sub(r"_\d+$", "_N", word))


def count_flags(n_events: int, n_parent: int) -> list[Flag]:
    """Return the flags of a count, the same for events and for cells.

    Parameters
    ----------
    n_events
        Events or cells of the population.
    n_parent
        Those of its parent.
    """
    found = [] if n_parent else [Flag.EMPTY_PARENT]
    if n_events < LIMIT_OF_DETECTION:
        return [*found, Flag.BELOW_LOD]
    return [*found, Flag.BELOW_LOQ] if n_events < LIMIT_OF_QUANTIFICATION else found
