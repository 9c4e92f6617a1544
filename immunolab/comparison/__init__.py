"""Shifts between visits, per patient and per cohort. Knows tables only: n is patients, never cells."""
