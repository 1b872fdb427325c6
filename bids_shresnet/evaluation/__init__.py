"""Held-out subjects: errors, statistics, agreement and uncertainty."""
