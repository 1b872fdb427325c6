"""A model folder, its card and its validation."""
