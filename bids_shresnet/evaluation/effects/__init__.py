"""Known effects put into held-out scans, and how much of each a harmonized scan shows."""
