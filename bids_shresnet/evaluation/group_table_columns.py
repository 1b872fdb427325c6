"""What the columns of the tables of all cross-validations hold, as BIDS sidecars say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Columns = Mapping[str, Mapping[str, Any]]

ANSWER_LEVELS = {
    "yes": "p is at most 0.05",
    "no": "not shown; this does not mean that there is a bias",
    "not enough subjects": "with so few subjects the test cannot pass",
}
PAIR_COLUMN: Columns = {"pair": {"Description": "Scanners, from the source to the target."}}
TISSUE_COLUMN: Columns = {
    "tissue": {
        "Description": "WM: white matter, GM: grey matter, as segmented in the target's scan."
    }
}
QUANTITY_COLUMN: Columns = {
    "quantity": {
        "Description": "signal: S/S0 in the target's directions. FA, MD: of the maps that are "
        "written for a scan, looked up at the target's voxels, against the target's own maps."
    }
}
ERROR_COLUMNS: Columns = {
    **PAIR_COLUMN,
    "subject": {"Description": "Held-out subject."},
    "fold": {"Description": "Number of the split that held the subject out."},
    "method": {
        "Description": "Method. no_harmonization: the input scan; scan_rescan: the target's "
        "second scan; noise_floor: a perfect prediction without noise."
    },
    **TISSUE_COLUMN,
    **QUANTITY_COLUMN,
    "places": {
        "Description": "all: every voxel of the tissue that both scanners measured; interior: only "
        "those around which the source scan holds signal. Comparisons use all."
    },
    "nmse": {
        "Description": "Squared differences from the target's measurement over its sum of squares."
    },
    "bias": {"Description": "Mean over the tissue, relative to the target's mean, minus 1."},
    "mean": {"Description": "Mean over the tissue; MD in mm^2/s."},
    "target_mean": {"Description": "Mean that the target measured there."},
}
COMPARISON_COLUMNS: Columns = {
    **PAIR_COLUMN,
    "method": {"Description": "Applied method."},
    "baseline": {"Description": "Method that it is compared with."},
    **TISSUE_COLUMN,
    **QUANTITY_COLUMN,
    "is_mean_error": {
        "Description": "True: the error is that of the tissue's mean, because the baseline "
        "corrects no voxel. False: it is that of voxels (NMSE)."
    },
    "n": {"Description": "Held-out subjects that both methods were evaluated on."},
    "error": {"Description": "Error of the applied method, mean over subjects."},
    "baseline_error": {"Description": "Error of the baseline, mean over subjects."},
    "decrease": {"Description": "1 - error / baseline_error; below 0 if the method is worse."},
    "interval_low": {
        "Description": "Lower end of the 95 % bootstrap interval of the decrease over subjects."
    },
    "interval_high": {"Description": "Upper end of this interval."},
    "improved_share": {"Description": "Share of subjects with a lower error."},
    "p": {"Description": "One-sided Wilcoxon signed-rank test of a lower error, not adjusted."},
    "p_floor": {"Description": "Smallest p that so many subjects can give."},
    "p_holm": {"Description": "p adjusted over all comparisons of the pair (Holm)."},
}
BIAS_COLUMNS: Columns = {
    **PAIR_COLUMN,
    "method": {"Description": "Method; no_harmonization is the input scan."},
    **TISSUE_COLUMN,
    **QUANTITY_COLUMN,
    "n": {"Description": "Held-out subjects."},
    "mean": {
        "Description": "Site bias: mean over the tissue relative to the target's mean, minus 1; "
        "mean over subjects."
    },
    "interval_low": {"Description": "Lower end of its 95 % bootstrap interval over subjects."},
    "interval_high": {"Description": "Upper end of this interval."},
}
REGION_COLUMNS: Columns = {
    **PAIR_COLUMN,
    "method": {"Description": "no_harmonization is the input scan, else the applied method."},
    "region": {
        "Description": "Tissue (WM, GM), or region of the parcellation of the target's scans."
    },
    "quantity": {"Description": "FA or MD."},
    "n": {"Description": "Held-out subjects that have the region."},
    "bias": {
        "Description": "Site bias: mean over the region relative to the target's mean, minus 1; "
        "mean over subjects."
    },
    "bias_low": {"Description": "Lower end of its 90 % interval (Student)."},
    "bias_high": {"Description": "Upper end of this interval."},
    "margin": {"Description": "Largest bias, of either sign, that counts as equivalent."},
    "p_equivalence": {
        "Description": "Larger p of two one-sided t-tests that the bias lies within the margin, "
        "not adjusted for the number of regions."
    },
    "is_equivalent": {"Description": "Answer of this test.", "Levels": ANSWER_LEVELS},
    "slope": {
        "Description": "Slope over subjects of the means on those that the target measured: 1 "
        "keeps the differences between subjects."
    },
    "slope_low": {"Description": "Lower end of its 95 % interval."},
    "slope_high": {"Description": "Upper end of this interval."},
    "icc": {"Description": "ICC(2,1), absolute agreement with the target's means."},
    "icc_low": {"Description": "Lower end of its 95 % interval."},
    "icc_high": {"Description": "Upper end of this interval."},
    "rank_correlation": {"Description": "Spearman correlation with the target's means."},
    "detectable_change": {
        "Description": "Smallest relative difference between a scan of this kind and a target "
        "scan of one subject that is no measurement error (95 %)."
    },
}
