"""Harmonization methods with one interface: fit on travelling subjects, apply to an ShImage."""
