"""Simulated travelling heads with known truth."""
