"""Captions of the pictures of a harmonized scan."""

from __future__ import annotations

from bids_shresnet.report.pictures.regions import MIN_WHITE_MATTER_FA

NOVELTY_THRESHOLD = 1.0  # above it a voxel is out of distribution
UNCERTAINTY_SCALE_PERCENTILE = 99
ORIENTATION_CAPTION = "Patient's right is on the left; numbers are mm along the axis."
ANATOMY_CAPTION = (
    "Mean b0 of this scan. Orange: the brain mask. Blue: white matter (desc-tissue_dseg)."
)
REGISTRATION_CAPTION = (
    "The target's b0 has the same outlines: they should follow its own borders, too."
)
DIRECTION_CAPTION = "Principal direction of the tensor (colour) and FA (brightness)."
ANGLE_CAPTION = (
    "Angle between the principal directions before and after, where their mean FA is above "
    f"{MIN_WHITE_MATTER_FA:g}; elsewhere no single direction dominates. {ORIENTATION_CAPTION}"
)
NOVELTY_CAPTION = (
    "Distance of the scan from the training data, in units of the distance that 2 % of healthy "
    f"brain exceed. Coloured voxels (above {NOVELTY_THRESHOLD:g}) are out of distribution. "
    f"{ORIENTATION_CAPTION}"
)
UNCERTAINTY_CAPTION = (
    "Standard deviation of the target's S/S0 about the harmonized one, learned from travelling "
    "subjects. It covers neither the noise of a measurement nor tissue that is out of "
    f"distribution. The scale ends at the {UNCERTAINTY_SCALE_PERCENTILE}th percentile of this "
    f"scan. {ORIENTATION_CAPTION}"
)
TARGET_CAPTION = (
    "Target: the same head as the target scanner measured it, rigidly registered to this scan and "
    "taken from the nearest voxel, so that it is neither interpolated nor smoothed. EPI distortion "
    "of the two scanners still differs."
)
SHOWN_VOXELS_PHRASE = "in the voxels that the mosaics show"
