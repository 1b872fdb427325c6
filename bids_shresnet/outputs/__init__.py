"""The output: one BIDS derivative dataset, its sidecars, run records and model folders."""
