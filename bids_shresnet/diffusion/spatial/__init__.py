"""Positions, masks and correspondence of images: sampling, registration, template."""
