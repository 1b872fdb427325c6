"""From travelling subjects to a fitted model."""
