"""Findings about a dataset: what is wrong or odd, and what to do about it."""
