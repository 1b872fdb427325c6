"""Gradient tables of FSL, MRtrix and QSIPrep: read, written, and turned into world axes."""
