"""The input: a BIDS dataset and its derivatives, found and read."""
