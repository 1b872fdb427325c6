"""Records of runs: logs, provenance, and what earlier runs have left."""
