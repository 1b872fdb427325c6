"""The only room that opens files: BIDS, NIfTI, FSL tables, records and reports at the border of the app."""
