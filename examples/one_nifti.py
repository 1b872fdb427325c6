#!/usr/bin/env python
"""Harmonize one NIfTI image with a saved model.

Usage: one_nifti.py MODEL_FOLDER DWI.nii.gz OUT_FOLDER

The .bval and .bvec lie beside the image; the mask is made from its b = 0 volumes.
"""

import sys

from bids_shresnet import harmonize, load_model

_, model_folder, image, out_folder = sys.argv
model = load_model(model_folder)
harmonized = harmonize(model, image)
mean_fa = harmonized.fa[harmonized.mask].mean()
novel_fraction = (harmonized.novelty > 1)[harmonized.mask].mean()
print(f"{model.source} -> {model.target}; mean FA in the brain {mean_fa:.3f}")
print(f"unlike the training data: {100 * novel_fraction:.1f} % of the brain")
print(*harmonized.save(out_folder), sep="\n")
