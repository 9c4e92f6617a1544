"""The study: its trial, patients, visits and samples."""
