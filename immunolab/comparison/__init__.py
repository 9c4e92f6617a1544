"""Shifts between visits, per patient and per cohort. Tables only: n is patients, never cells."""
