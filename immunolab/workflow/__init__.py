"""The steps of a run in order; each calls a room and stores what it returns."""
