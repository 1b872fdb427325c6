"""The order of the work, a page for each result: models, harmonized scans, reports."""
