"""The verbs: each step reads, calls pure functions and writes; only `app.py` knows their order."""
