"""Held-out subjects: errors, statistics, verdicts."""
