"""Tables of what is compared across the tubes of a study: staining, drift, identity, design, flow of samples."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    COHORT,
    ENDPOINT,
    N_EVENTS,
    N_PAIRS,
    PANEL,
    PATIENT,
    POPULATION,
    SAMPLE,
    VISIT,
    YES_NO,
)
from immunolab.schema.table import Table

DESIGN_STATUS = ("balanced", "estimable", "weak", "aliased", "unknown")
FACTORS = ("batch", "operator", "lot", "site", "cytometer")
FINDINGS = ("exchanged", "absent_stain", "absent_population", "crossed")

_MARKER = Column("marker", "text", "antigen, or the channel where it has none")
_CHANNEL = Column("channel", "text", "detector")
_BATCH = Column("batch", "text", "of the sheet; else cytometer and day; empty where neither is known", nullable=True)
_DAY = Column("day", "integer", "acquisition, counted from the study's first tube, which is day 0", "days", True)

ACQUISITIONS = Table(
    "acquisitions",
    "when and on what each tube was acquired, as sheet and header say; no date, name or serial number is copied",
    (
        SAMPLE,
        PANEL,
        _BATCH,
        _DAY,
        Column("cytometer", "text", "numbered as they first appear", nullable=True),
        Column("settings", "text", "voltages that are not the panel's usual ones, in words", nullable=True),
    ),
    key=("sample_id",),
    files=("run: tables/acquisitions.csv",),
)

LANDMARKS = Table(
    "landmarks",
    "median of each marker in the populations that it stains evenly, and in landmark populations without it",
    (
        SAMPLE,
        POPULATION,
        _MARKER,
        N_EVENTS,
        Column("median", "number", "median of the compensated signal, asinh of it over 150 (mass: over 5)", "asinh"),
        Column("spread", "number", "distance of the quartiles over 1.349", "asinh", low=0),
    ),
    notes="Rows are those with a median of at least 1.5 and a spread of at most 0.8; of landmark populations "
    "(lymphocytes, CD3, CD4, CD8, B, NK, naive and memory) those with a spread of at most 1 whatever the median.",
    files=("run: tables/landmarks.csv", "run: samples/*/landmarks.csv"),
)

STAINING = Table(
    "staining",
    "channels of a tube that are not stained as in the panel's other tubes",
    (
        SAMPLE,
        PANEL,
        _MARKER,
        _CHANNEL,
        Column(
            "finding",
            "text",
            "exchanged: fits with another's signal; absent_stain: no cell is stained, though the other markers say "
            "that its cells are there; absent_population: they are not there by other markers either; crossed: two "
            "detectors carry each other's marker",
            allowed=FINDINGS,
        ),
        Column("other_marker", "text", "whose signal it fits with, or whose detector it is on", nullable=True),
        Column(
            "value",
            "number",
            "exchanged: how many times nearer to what the other channels say when exchanged (squared error); "
            "absent_stain: mean of the stain's slope on what they say beside the light of the other dyes and of its "
            "99.5th percentile, each 1 as in the panel's other tubes; absent_population: spread of what they say, 1 as "
            "in the other tubes; crossed: share of the panel's tubes that name both detectors so",
        ),
        Column("limit", "number", "beyond which it is named: above for exchanged, below for the others"),
        Column("message", "text", "in words"),
    ),
    notes="More than 250 tubes of a panel are compared in equal parts, each drawn over all of them.",
    files=("run: tables/staining.csv",),
)

SPILLOVER = Table(
    "spillover",
    "what compensation leaves of a dye in another channel, of the pairs that a tube's cells show",
    (
        SAMPLE,
        Column("matrix", "text", "hash of the tube's matrix: tubes with the same one were compensated alike"),
        Column("dye", "text", "channel of the dye"),
        Column("detector", "text", "channel that it spills into"),
        Column("entry", "number", "of the matrix", "% of the dye's signal"),
        Column("left", "number", "what is left; negative where too much is taken off", "% of the dye's signal"),
        Column("left_error", "number", "its standard error by the number of cells", "% of the dye's signal", low=0),
        Column("move", "number", "how far cells bright in the dye are off", "sd of the unstained cells"),
        Column("scatter", "number", "of dimmer and brighter cells around the line", "standard errors", low=0),
        Column("straight", "text", "whether they lie on a line through the unstained cells", allowed=YES_NO),
    ),
    key=("sample_id", "dye", "detector"),
    notes="Pairs are those whose entry is at least 3 %, and whose dye stains enough cells without the other antibody.",
    files=("run: tables/spillover.csv", "run: samples/*/spillover.csv", "qc: spillover.csv"),
)

DRIFT = Table(
    "drift",
    "median of each marker in landmark populations, batch by batch, beside the panel's other batches",
    (
        PANEL,
        POPULATION,
        _MARKER,
        _BATCH,
        _DAY,
        Column("n_samples", "integer", "tubes", "tubes", low=0),
        Column("median", "number", "median over the tubes' medians", "asinh"),
        Column("change", "number", "from the median of the other batches", "asinh", nullable=True),
        Column("spread", "number", "sd between tubes of a batch", "asinh", nullable=True, low=0),
        Column("distance", "number", "change over its standard error", nullable=True),
        Column("change_point", "text", "whether the marker's level steps at this batch", allowed=YES_NO),
        Column(
            "step",
            "number",
            "from the batches before to this and those after: of the marker, by all its populations",
            "asinh",
            nullable=True,
        ),
        Column("reason", "text", "what is new in this batch: lot, voltage, cytometer, site, operator", nullable=True),
        Column("step_error", "number", "standard error of the marker's step", "asinh", nullable=True, low=0),
        Column(
            "detectable",
            "number",
            "step of the marker that these batches would show 95 times in 100; empty where they show none",
            "asinh",
            nullable=True,
            low=0,
        ),
    ),
    files=("run: tables/drift.csv",),
)

IDENTITY = Table(
    "identity",
    "whether a tube looks like its patient's other visits in what visits do not change",
    (
        SAMPLE,
        PATIENT,
        VISIT,
        PANEL,
        Column("n_traits", "integer", "shares that were compared", "traits", low=0),
        Column("distance", "number", "from the patient's other visits, in the spread within patients", nullable=True),
        Column("nearest_patient", "text", "other patient that it looks most like", nullable=True),
        Column("nearest_distance", "number", "from that patient's other visits", nullable=True),
        Column(
            "log_odds",
            "number",
            "log likelihood ratio of the likeliest exchange; empty where none would bring both tubes nearer",
            nullable=True,
        ),
        Column("limit", "number", "log likelihood ratio above which an exchange is suspected", nullable=True),
        Column(
            "n_alike",
            "integer",
            "other patients' tubes of the visit that this one could be exchanged with and not be found; those of "
            "patients that it was not compared with among them",
            "tubes",
            low=0,
        ),
        Column(
            "suspected",
            "text",
            "whether the tube may be of another patient; not assessed: message says why",
            allowed=(*YES_NO, "not assessed"),
        ),
        Column("message", "text", "in words", nullable=True),
    ),
    key=("sample_id",),
    notes="Compared are patients with two tubes of a panel and more. More than 200 are compared in equal parts, in the "
    "order of the sheet, all tubes of a patient in one: an exchange between two parts is not looked for.",
    files=("run: tables/identity.csv",),
)

DESIGN = Table(
    "design",
    "whether a change between two visits is separable from a change of batch, operator, lot, site or cytometer",
    (
        COHORT,
        Column("before", "text", "visit compared from"),
        Column("after", "text", "visit compared to"),
        Column("factor", "text", "what may differ between the visits", allowed=FACTORS),
        N_PAIRS,
        Column("n_same", "integer", "of them with both visits in one level of the factor", "patients", low=0),
        Column("n_levels", "integer", "levels", low=0),
        Column("inflation", "number", "of the variance of the change when it is adjusted", nullable=True, low=1),
        Column(
            "status",
            "text",
            "balanced: the factor is the same at both visits of every patient; estimable; weak: inflation above 5; "
            "aliased: the change cannot be separated; unknown: a level is not given",
            allowed=DESIGN_STATUS,
        ),
        Column("remaining", "text", "what can still be compared, in words"),
    ),
    files=("run: tables/design.csv",),
)

SAMPLE_FLOW = Table(
    "sample_flow",
    "where every sample and patient went, from the sheet to the pairs of each endpoint",
    (
        COHORT,
        Column("step", "text", "place in the flow", allowed=("sheet", "failed", "not_run", "measured", "pairs")),
        replace(ENDPOINT, nullable=True),
        Column("n_patients", "integer", "patients", "patients", low=0),
        Column("n_samples", "integer", "samples", "samples", nullable=True, low=0),
    ),
    files=("run: tables/sample_flow.csv",),
)

TABLES = (ACQUISITIONS, LANDMARKS, STAINING, SPILLOVER, DRIFT, IDENTITY, DESIGN, SAMPLE_FLOW)
