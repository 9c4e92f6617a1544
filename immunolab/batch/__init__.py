"""Per-sample work over a study: keyed by content, resumable, on one machine or a cluster."""
