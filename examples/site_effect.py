#!/usr/bin/env python
"""Estimate the effect of the scanner on FA in each region, before and after harmonization.

Usage: site_effect.py group_scalars.tsv

In R: lme4::lmer(value ~ batch + (1 | participant_id), subset(scalars, stage == "after"))
"""

import sys

import pandas as pd
import statsmodels.formula.api as smf

scalars = pd.read_csv(sys.argv[1], sep="\t").query("measure == 'fa' and stage != 'denoised'")
for (region, stage), rows in scalars.groupby(["region", "stage"]):
    fit = smf.mixedlm("value ~ batch", rows, groups="participant_id").fit()
    for name in fit.params.index[1:-1]:  # without the intercept and the variance of subjects
        percent = 100 * fit.params[name] / fit.params["Intercept"]
        print(f"{region}, {stage}, {name}: {percent:+.2f} %, p = {fit.pvalues[name]:.2g}")
