"""Tensors of a scan without most of their noise, which a known effect does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer

from bids_shresnet.diffusion.noise import estimate_true_shares, measure_powers
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.tensor_changes import (
    ApparentTensors,
    TensorChange,
    change_dwi,
    change_tensors,
    denoise_tensors,
    fit_scan_tensors,
    synthesize_tensors,
)
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.scans import Dwi

TRIAL_FACTOR = 0.9
SCALE_RANGE = (0.5, 2.0)


@dataclass(frozen=True)
class PowerChange:
    """How a trial change of anisotropy changes the power of order 2 of each shell.

    Attributes
    ----------
    power
        Power of the scan without that of noise; NaN where it is not known (`ShImage`).
    found
        What the change adds to it.
    clean_power, asked
        The same of a scan that the tensors describe, and that has no noise.
    """

    power: Float[np.ndarray, "v s"]
    found: Float[np.ndarray, "v s"]
    clean_power: Float[np.ndarray, "v s"]
    asked: Float[np.ndarray, "v s"]

    def find_scales(self, rows: Bool[np.ndarray, " v"]) -> Float[np.ndarray, " s"]:
        """Find factors on the anisotropy of some voxels, with which what is asked for is found.

        They are 1 where nothing is found, or where the power is not known.
        """
        chosen = rows & np.isfinite(self.power).all(axis=1)
        if not chosen.any():
            return np.ones(self.power.shape[1])
        asked = self.asked[chosen].mean(axis=0) * self.power[chosen].mean(axis=0)
        found = self.found[chosen].mean(axis=0) * self.clean_power[chosen].mean(axis=0)
        is_known = (found < 0) & (asked < 0)
        scales = np.where(is_known, asked, 1) / np.where(is_known, found, 1)
        return np.asarray(np.clip(scales, *SCALE_RANGE))


def estimate_true_tensors(
    scan: LoadedScan,
    representation: Representation,
    tissue: Integer[np.ndarray, "x y z"],
) -> list[ApparentTensors]:
    """Estimate the tensors of the mask, each tissue for itself.

    Their noise is averaged out around each voxel. Then the anisotropy of each tissue is scaled, so
    that a change of it changes the scan's mean power of order 2 by the share that it should.
    `representation` is that of a source, with its power.
    """
    labels = tissue[scan.mask]
    denoised = _denoise_tissues(scan, representation, tissue)
    change = _measure_power_change(scan, representation, denoised)
    for label in np.unique(labels):
        rows = labels == label
        scales = change.find_scales(rows)
        for item in denoised:
            scale = np.full(rows.sum(), scales[_find_nearest_shell(representation, item)])
            item.tensors[rows] = change_tensors(item.tensors[rows], scale, np.ones_like(scale))
    return denoised


def _denoise_tissues(
    scan: LoadedScan,
    representation: Representation,
    tissue: Integer[np.ndarray, "x y z"],
) -> list[ApparentTensors]:
    """Denoise each tissue for itself, so that none gets a part of the other's effect."""
    fitted = fit_scan_tensors(scan.dwi, scan.mask)
    denoised = [replace(item, tensors=item.tensors.copy()) for item in fitted]
    for label in np.unique(tissue[scan.mask]):
        part = scan.mask & (tissue == label)
        rows = part[scan.mask]
        shares = estimate_true_shares(representation, part)
        for item in denoised:
            share = shares[_find_nearest_shell(representation, item)][0]
            item.tensors[rows] = denoise_tensors(item.tensors[rows], part, share)
    return denoised


def _measure_power_change(
    scan: LoadedScan, representation: Representation, tensors: Sequence[ApparentTensors]
) -> PowerChange:
    """Put a trial change into the scan, and into the one that the tensors describe."""
    unchanged = np.ones(scan.mask.shape)
    trial = TensorChange(TRIAL_FACTOR * unchanged, unchanged)

    def measure(dwi: Dwi) -> Float[np.ndarray, "v s"]:
        return _measure_order_2(represent_dwi(dwi, scan.mask, representation.image.shells))

    def measure_changed(dwi: Dwi) -> Float[np.ndarray, "v s"]:
        return measure(change_dwi(dwi, scan.mask, trial, tensors))

    clean = synthesize_tensors(scan.dwi, scan.mask, tensors)
    clean_power = measure(clean)
    power = representation.image.order_2_power
    assert power is not None, "the scan's power was not measured"
    return PowerChange(
        power=power[scan.mask],
        found=measure_changed(scan.dwi) - _measure_order_2(representation),
        clean_power=clean_power,
        asked=measure_changed(clean) - clean_power,
    )


def _measure_order_2(representation: Representation) -> Float[np.ndarray, "v s"]:
    powers = [shell_powers[:, 1] for shell_powers, _ in measure_powers(representation)]
    return np.stack(powers, axis=1)


def _find_nearest_shell(representation: Representation, item: ApparentTensors) -> int:
    bvalues = np.array([shell.bvalue for shell in representation.image.shells])
    return int(np.abs(bvalues - item.bvalue).argmin())
