#!/usr/bin/env python
"""Harmonize one NIfTI image with a saved model.

Usage: one_nifti.py MODEL_FOLDER DWI.nii.gz OUT_FOLDER

The .bval and .bvec lie beside the image; the mask is made from its b = 0 volumes.
"""

import sys

from bids_shresnet import harmonize, load_model

folder, image, out = sys.argv[1:]
model = load_model(folder)
result = harmonize(model, image)
print(f"{model.source} -> {model.target}; mean FA in the brain {result.fa[result.mask].mean():.3f}")
print(
    f"unlike anything the model was trained on: {100 * (result.novelty > 1)[result.mask].mean():.1f} % of the brain"
)
print(*result.save(out), sep="\n")
