"""Tissue of a scan: its own segmentation, or the contrast of its signal."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.representation import Representation, anisotropy, mean_signal
from bids_shresnet.diffusion.tissue import classify_tissue, diffusion_contrast, parenchyma_mask
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.inputs.segmentation import read_tissue
from bids_shresnet.scans import Scan, Segmentation, Tissue


def segment_tissue(
    scan: Scan, loaded: LoadedScan, representation: Representation
) -> Int[np.ndarray, "x y z"]:
    """Read the input's own segmentation, or classify the first shell.

    Returns
    -------
    Values of `Tissue`, 0 elsewhere.

    Raises
    ------
    BadInput
        If the segmentation's tissues do not have the expected contrast in the scan.
    """
    if scan.segmentation is None:
        return classify_scan(loaded, representation)
    tissue = read_tissue(scan.segmentation, loaded.dwi.shape, loaded.dwi.affine)
    contrast = diffusion_contrast(mean_signal(representation), anisotropy(representation.image))
    _check_segmentation(scan.segmentation, tissue, contrast, loaded.mask)
    return tissue


def classify_scan(loaded: LoadedScan, representation: Representation) -> Int[np.ndarray, "x y z"]:
    """Classify the first shell into values of `Tissue`, 0 elsewhere."""
    return classify_tissue(
        mean_signal(representation),
        anisotropy(representation.image),
        parenchyma_mask(loaded.s0, loaded.mask),
    )


def _check_segmentation(
    segmentation: Segmentation,
    tissue: Int[np.ndarray, "x y z"],
    contrast: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
) -> None:
    """Raise if the contrast does not rise from CSF to GM to WM.

    The labels are then wrong, or the anatomy is in another space.
    """
    medians = _tissue_medians(tissue, contrast, mask)
    is_rising = all(low < high for low, high in pairwise(medians.values()))
    if is_rising and {Tissue.GM, Tissue.WM} <= set(medians):
        return
    listed = ", ".join(f"{label.name} {median:.2f}" for label, median in medians.items())
    finding = Finding(
        severity="error",
        file=str(segmentation.files[0]),
        value=(
            "its tissues are not what the scan shows: contrast of "
            f"{listed or 'none of them in the brain'}; it should rise from CSF to GM to WM"
        ),
        remedy=(
            "Its labels may be wrong, or it is not aligned with the scan: correct it, "
            "or leave the derivative out."
        ),
    )
    raise BadInput([finding])


def _tissue_medians(
    tissue: Int[np.ndarray, "x y z"],
    contrast: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
) -> dict[Tissue, float]:
    """Median contrast of each tissue in the mask; tissues without a voxel are omitted."""
    medians = {}
    for label in (Tissue.CSF, Tissue.GM, Tissue.WM):
        values = contrast[mask & (tissue == label)]
        if values.size:
            medians[label] = float(np.median(values))
    return medians
