"""How far maps of changed scans are from those of the target, and from those of unchanged scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool
from nibabel.processing import resample_from_to

from benchmarks.robustness_scans import Variant
from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.evaluation.quantities import nmse, relative_bias
from bids_shresnet.inputs.load_scan import describe_image
from bids_shresnet.io.images.nifti import read_dwi, read_labels, read_mask
from bids_shresnet.outputs.layout import HARMONIZED_DESC, INPUT_DESC, TENSOR_PARAMETERS
from bids_shresnet.phantom.scanner import add_rician_noise
from bids_shresnet.phantom.score import TISSUE_LABELS
from bids_shresnet.scans import Dwi

Maps = Mapping[str, nib.Nifti1Image]  # by parameter of the tensor


@dataclass(frozen=True)
class TargetNoise:
    """Noise of the target's scans: median S0 over its standard deviation, and directions."""

    snr: float
    direction_count: int


@dataclass(frozen=True)
class Truth:
    """What the target would have measured: its maps, and the labels of pure tissue."""

    maps: Maps
    tissue: nib.Nifti1Image


def read_truth(stem: Path, noise: TargetNoise | None) -> Truth:
    """Read the truth of a scan; its maps get the noise, if there is any.

    As in the maps that are delivered, the noise of a value grows with the number of directions of
    the scan, so that the tensor is as uncertain as one of the target.
    """
    dwi = read_dwi(describe_image(stem.with_name(f"{stem.name}_dwi.nii.gz")))
    path = stem.with_name(f"{stem.name}_tissue.nii.gz")
    tissue = read_labels(path, dwi.shape, dwi.affine).astype(np.int16)
    if noise is not None:
        dwi = _add_target_noise(dwi, tissue > 0, noise)
    brain = read_mask(stem.with_name(f"{stem.name}_mask.nii.gz"), dwi.shape, dwi.affine)
    maps = fit_tensor_maps(dwi, brain)
    values = dict(zip(TENSOR_PARAMETERS, (maps.fa, maps.md), strict=True))
    images = {name: nib.Nifti1Image(array, dwi.affine) for name, array in values.items()}
    return Truth(images, nib.Nifti1Image(tissue, dwi.affine))


def _add_target_noise(dwi: Dwi, tissue: Bool[np.ndarray, "x y z"], noise: TargetNoise) -> Dwi:
    """Draw the noise of the target; it is relative to the median S0 of the tissue."""
    median_s0 = float(np.median(mean_b0(dwi)[tissue]))
    more_directions = (~dwi.is_b0).sum() / noise.direction_count
    level = float(median_s0 / noise.snr * np.sqrt(more_directions))
    return replace(dwi, data=add_rician_noise(dwi.data, level, np.random.default_rng(0)))


def has_results(root: Path, variant: Variant) -> bool:
    """Return whether the app has delivered maps of a changed scan."""
    return bool(find_outputs(root, variant, "_param-fa_desc-harmonized_dwimap.nii.gz"))


def find_outputs(root: Path, variant: Variant, ending: str) -> list[Path]:
    """Find the outputs of a changed scan whose names end so."""
    name = variant.stem("").name
    return sorted(root.glob(f"sub-{variant.subject}/**/dwi/{name}_*{ending.removeprefix('_')}"))


def read_maps(root: Path, variant: Variant, desc: str) -> Maps:
    """Read FA and MD that the app has written for a changed scan, in canonical order."""
    maps: dict[str, nib.Nifti1Image] = {}
    for parameter in TENSOR_PARAMETERS:
        maps[parameter] = _read_output(root, variant, f"_param-{parameter}_desc-{desc}_dwimap")
    return maps


def _read_output(root: Path, variant: Variant, ending: str) -> nib.Nifti1Image:
    (path,) = find_outputs(root, variant, f"{ending}.nii.gz")
    image: nib.Nifti1Image = nib.as_closest_canonical(nib.Nifti1Image.from_filename(path))
    return image


def score_variant(
    root: Path, variant: Variant, truth: Truth, unchanged: Maps
) -> Iterator[dict[str, object]]:
    """Yield a row for each tissue and parameter; no row for a tissue without voxels.

    A row holds the share of the tissue's volume that has values, bias and NMSE of the input and
    of the harmonized map, and the difference of means to the unchanged scan.
    """
    mask = _read_output(root, variant, "_desc-brain_mask")
    labels = resample_from_to(truth.tissue, mask, order=0).get_fdata()
    wanted = _resample_maps(truth.maps, mask)
    usual = _resample_maps(unchanged, mask)
    before = read_maps(root, variant, INPUT_DESC)
    after = read_maps(root, variant, HARMONIZED_DESC)
    for tissue, label in TISSUE_LABELS.items():
        voxels = (labels == label) & (mask.get_fdata() > 0)
        covered = voxels.sum() * _voxel_volume(mask) / _tissue_volume(truth, label)
        for parameter in TENSOR_PARAMETERS if voxels.any() else ():
            expected = wanted[parameter].get_fdata()[voxels]
            measured = before[parameter].get_fdata()[voxels]
            delivered = after[parameter].get_fdata()[voxels]
            yield {
                "change": variant.change,
                "tissue": tissue,
                "quantity": parameter.upper(),
                "covered": covered,
                "input_bias": relative_bias(expected, measured),
                "bias": relative_bias(expected, delivered),
                "input_nmse": nmse(expected, measured),
                "nmse": nmse(expected, delivered),
                "to_unchanged": relative_bias(usual[parameter].get_fdata()[voxels], delivered),
            }


def _resample_maps(maps: Maps, image: nib.Nifti1Image) -> Maps:
    return {name: resample_from_to(item, image, order=1) for name, item in maps.items()}


def _tissue_volume(truth: Truth, label: int) -> float:
    return int((truth.tissue.get_fdata() == label).sum()) * _voxel_volume(truth.tissue)


def _voxel_volume(image: nib.Nifti1Image) -> float:
    return float(np.prod(nib.affines.voxel_sizes(image.affine)))
