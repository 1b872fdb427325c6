"""Harmonizers with one small interface: fit on pairs of images, apply to an ShImage."""
