"""What was decided about a study: a log that only grows, each entry holding the hash of the one before it."""
