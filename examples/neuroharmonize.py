#!/usr/bin/env python
"""Remove the difference of means that harmonized scans still have, region by region, with ComBat.

Usage: neuroharmonize.py group_scalars.tsv OUT.tsv

Add columns such as age to `covariates`, so that what they explain is kept.
"""

import sys

import pandas as pd
from neuroHarmonize import harmonizationLearn

_, table, out = sys.argv
scalars = pd.read_csv(table, sep="\t").query("stage == 'after' and measure == 'fa'")
regions = scalars.pivot_table("value", ["file", "batch"], "region").dropna()
covariates = pd.DataFrame({"SITE": regions.index.get_level_values("batch")})
_, adjusted = harmonizationLearn(regions.to_numpy(), covariates)
pd.DataFrame(adjusted, regions.index, regions.columns).to_csv(out, sep="\t")
