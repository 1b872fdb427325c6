"""File formats and safe writing; knows no BIDS."""
