"""Tables of single cells and of clusters of events."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    COHORT,
    CONTRAST,
    ENDPOINT,
    FLAG,
    N_PAIRS,
    P_VALUE,
    PATIENT,
    PERCENT_OF_PARENT,
    POPULATION,
    Q_VALUE,
    SAMPLE,
    VISIT,
    interval,
)
from immunolab.schema.table import Table

_CLUSTER = Column("cluster", "integer", "number of the cluster, from 1")
_LABEL = Column("label", "text", "name of the cluster, or unassigned")

LABELS = Table(
    "labels",
    "what each single cell is",
    (
        Column("cell_id", "text", "barcode of the cell, as in the file"),
        SAMPLE,
        Column("label", "text", "subset, or unassigned"),
        Column("confidence", "number", "share of the cell's evidence that agrees with the label", "0 to 1"),
    ),
    files=("label: NAME.csv",),
)

METHOD_PAIRS = Table(
    "method_pairs",
    "flow against single cells of the same patient visits",
    (
        ENDPOINT,
        POPULATION,
        Column("parent", "text", "denominator", nullable=True),
        PATIENT,
        VISIT,
        Column("first", "number", "flow", "%"),
        Column("second", "number", "single cells", "%"),
        Column("n_first", "integer", "events of the population in flow", "events", low=0),
        Column("n_second", "integer", "cells of the population", "cells", low=0),
        Column("logit_first", "number", "log((n + 0.5) / (n_parent - n + 0.5)) of flow", "logit"),
        Column("logit_second", "number", "the same of single cells", "logit"),
    ),
    key=("endpoint", "patient_id", "visit"),
    files=("run: tables/method_pairs.csv",),
)

METHOD_AGREEMENT = Table(
    "method_agreement",
    "bias and limits of agreement of single cells against flow, by endpoint (Bland and Altman 1986, 1999)",
    (
        ENDPOINT,
        POPULATION,
        Column("parent", "text", "denominator", nullable=True),
        Column("n_pairs", "integer", "patient visits measured by both", "visits", low=0),
        Column("bias", "number", "second less first", "log odds"),
        Column("bias_ci_low", "number", "lower 95 % limit of bias", "log odds", True),
        Column("bias_ci_high", "number", "upper 95 % limit of bias", "log odds", True),
        Column("odds_ratio", "number", "exp(bias)", "ratio"),
        Column("limit_low", "number", "lower limit of agreement: bias - 1.96 sd", "log odds", True),
        Column("limit_high", "number", "upper limit of agreement: bias + 1.96 sd", "log odds", True),
        Column("limit_se", "number", "standard error of a limit", "log odds", True),
        Column("correlation", "number", "Pearson, of the logits", "-1 to 1", True, low=-1, high=1),
        Column("counting_sd", "number", "sd of a difference that counting alone gives", "log odds"),
        FLAG,
    ),
    key=("endpoint",),
    files=("run: tables/method_agreement.csv",),
)

EXPRESSION = Table(
    "expression_*",
    "paired differential expression of genes within a subset, named in the file's name",
    (
        replace(COHORT, optional=True),
        Column("gene", "text", "name of the gene"),
        Column("base_mean", "number", "mean of the normalised counts over the paired samples", "counts", True),
        Column("log2_fold", "number", "change from the earlier to the later visit", "log2", True),
        Column("log2_se", "number", "standard error of log2_fold, its variance shrunk over genes", "log2", True),
        P_VALUE,
        replace(Q_VALUE, meaning="Benjamini-Hochberg over the tested genes of the cohort"),
        Column("n_pairs", "integer", "patients with enough cells at both visits", "patients", low=0),
        *interval("log2_fold", "log2"),
        Column("t", "number", "moderated t", nullable=True),
        Column("df", "number", "degrees of freedom of p_value: residual ones and the prior's", nullable=True),
        Column("mean_log_cpm", "number", "mean log2 of counts per million", "log2", True),
        replace(CONTRAST, nullable=True),
        Column("method", "text", "named method, or why there is no test", nullable=True),
        Column("warnings", "text", "codes of docs/flags.md joined by ';'", nullable=True),
        FLAG,
    ),
    key=("cohort", "gene"),
    notes="Each sample's cells of the subset are added up first (pseudobulk_*.csv), so that n is patients and not "
    "cells. A gene without a p is described only: method says why.",
    files=("run: tables/expression_*.csv", "expression: NAME.csv"),
)

PSEUDOBULK = Table(
    "pseudobulk_*",
    "raw counts of a subset's cells added up by sample, the subset named in the file's name",
    (
        Column("gene", "text", "name of the gene; genes without a count are left out"),
        Column("count_*", "integer", "counts in the sample of the column's name", "counts", low=0),
    ),
    key=("gene",),
    notes="Samples with fewer than 20 cells of the subset have no column. expression_*.csv is computed from it; "
    "edgeR, limma and DESeq2 read it.",
    files=("run: tables/pseudobulk_*.csv", "expression: NAME_counts.csv"),
)

CLUSTERS = Table(
    "clusters",
    "the cluster of every event",
    (
        SAMPLE,
        Column("event", "integer", "number of the event in the file, from 0", low=0),
        replace(_CLUSTER, nullable=True, meaning="number of the cluster, from 1; empty outside the parent"),
        replace(_LABEL, nullable=True),
    ),
    files=("cluster: clusters.csv",),
)

PROFILES = Table(
    "profiles",
    "one row a cluster: its name and how sure, medians, size",
    (
        _CLUSTER,
        _LABEL,
        Column("score", "number", "how well the medians fit the label", "0 to 1"),
        Column("runner_up", "text", "label that fits next best", nullable=True),
        Column("margin", "number", "score less that of the runner-up", "0 to 1"),
        Column(
            "consensus",
            "number",
            "share of the cluster's pairs of events that maps of halves of the events keep together",
            "0 to 1",
            True,
        ),
        Column(
            "evidence", "text", "conditions of the label, else of the runner-up: 0 negative, 1 positive", nullable=True
        ),
        Column("phenotype", "text", "markers it has (+), has in part (int) and has not (-)", nullable=True),
        Column("median_*", "number", "median of the marker in the column's name", "display scale", True),
        Column("n_events", "integer", "events in the cluster, over all files", "events", low=0),
        Column("percent", "number", "share of the clustered events", "%"),
    ),
    key=("cluster",),
    files=("cluster: profiles.csv",),
)

SIZES = Table(
    "sizes",
    "events of each cluster in every file",
    (
        SAMPLE,
        _CLUSTER,
        _LABEL,
        Column("n_events", "integer", "events in the cluster", "events", low=0),
        Column("n_parent", "integer", "clustered events of the file", "events", low=0),
        replace(PERCENT_OF_PARENT, meaning="100 n_events / n_parent; empty for a file without clustered events"),
    ),
    key=("sample_id", "cluster"),
    files=("cluster: sizes.csv",),
)

ABUNDANCE = Table(
    "abundance",
    "each cluster at two visits, paired by patient",
    (
        COHORT,
        _CLUSTER,
        _LABEL,
        CONTRAST,
        N_PAIRS,
        Column("n_events", "integer", "events of the cluster in the paired files", "events", low=0),
        Column("median_before", "number", "median share of the clustered events over the pairs", "%", True),
        Column("median_after", "number", "median share of the clustered events over the pairs", "%", True),
        Column("estimate", "number", "change of the share; empty where one visit has no event", "log", True),
        Column("fold", "number", "exp(estimate): ratio of shares", "ratio", True),
        *interval("estimate", "log", why_empty="without events at a visit there is one limit"),
        P_VALUE,
        replace(Q_VALUE, meaning="Benjamini-Hochberg over the clusters of the cohort"),
        Column("df", "number", "denominator degrees of freedom of p_value", nullable=True),
        Column("dispersion", "number", "between samples, one for all clusters (squared CV)", nullable=True, low=0),
        Column("quasi_dispersion", "number", "of the cluster, shrunk to that of all", nullable=True, low=0),
        Column("method", "text", "named method, or why there is no test"),
        Column("warnings", "text", "codes of docs/flags.md joined by ';'", nullable=True),
    ),
    key=("cohort", "cluster"),
    notes="Shares of the clustered events sum to 100 %: where a large cluster changes, the others seem to move "
    "the other way (`W_COMPOSITION`). Clusters were found without the visits; stability.csv says how far they are "
    "found again.",
    files=("cluster: abundance.csv",),
)

STABILITY = Table(
    "stability",
    "how far clustering again finds the same clusters",
    (
        Column("kind", "text", "what was changed", allowed=("seed", "subsample")),
        Column("run", "integer", "number of the repeat, from 1", low=1),
        Column("adjusted_rand_index", "number", "1 the same partition, 0 what chance gives (Hubert and Arabie 1985)"),
        Column("n_events", "integer", "events compared", "events", low=0),
    ),
    key=("kind", "run"),
    files=("cluster: stability.csv",),
)

CLUSTER_NUMBERS = Table(
    "cluster_numbers",
    "how far halves of the events find the same clusters, by number of clusters",
    (
        Column("clusters", "integer", "number of clusters tried", low=2),
        Column("agreement", "number", "mean adjusted Rand index of two halves, or of a half with all events if less"),
        Column("n_pairs", "integer", "pairs of halves", low=1),
        Column(
            "least", "number", "mean Jaccard index with halves' likest clusters from which a cluster is found again"
        ),
        Column(
            "found_again",
            "integer",
            "clusters that halves find again, none within another, of events parted into at most so many, median of "
            "the maps compared; the most is taken where no number was given",
        ),
        Column("found_again_low", "integer", "the same of all maps but one at either end, the least", low=1),
        Column("found_again_high", "integer", "the same, the most", low=1),
    ),
    key=("clusters",),
    files=("cluster: cluster_numbers.csv",),
)

CONFUSION = Table(
    "confusion",
    "events shared by each cluster and each gated population",
    (
        SAMPLE,
        _CLUSTER,
        _LABEL,
        Column("path", "text", "lineage of the gated population from root, '/' between populations"),
        Column("n_events", "integer", "shared events", "events", low=0),
        Column("percent_of_cluster", "number", "n_events of the cluster's events", "%", True),
        Column("percent_of_population", "number", "n_events of the population's clustered events", "%", True),
    ),
    key=("sample_id", "cluster", "path"),
    files=("cluster: confusion.csv",),
)

TABLES = (
    LABELS,
    METHOD_PAIRS,
    METHOD_AGREEMENT,
    EXPRESSION,
    PSEUDOBULK,
    CLUSTERS,
    PROFILES,
    SIZES,
    ABUNDANCE,
    STABILITY,
    CLUSTER_NUMBERS,
    CONFUSION,
)
