"""Diffusion MRI as arrays: arrays in, arrays out; no torch, no paths."""
