"""Helpers that harmonize scans of the small phantom with models of constant predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import HarmonizeJob, make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.io.storage import read_json
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import LabelImage, Scan, Tissue
from tests.images import load_image
from tests.models import constant_model


def make_model(folder: Path, scan: Scan, **changes: Any) -> Model:
    return constant_model(folder, scan.dataset, source=scan.scanner_label, **changes)


def make_job(scan: Scan, model: Model, root: Path, **options: Any) -> HarmonizeJob:
    (job,), _ = make_harmonize_jobs(
        [scan],
        [model],
        options=HarmonizeOptions(**options),
        bids_dir=scan.dataset,
        root=root,
    )
    return job


def change_what_is_not_signal(scan: Scan, image: Path) -> Iterator[Scan]:
    """Yield a scan with other metadata, then with a segmentation, other labels, other voxels."""
    yield replace(scan, metadata={**scan.metadata, "InstitutionName": "corrected"})
    image.write_bytes(b"labels")
    segmented = replace(scan, segmentation=LabelImage(image, {1: Tissue.GM, 2: Tissue.WM}))
    yield segmented
    yield replace(scan, segmentation=LabelImage(image, {2: Tissue.GM, 1: Tissue.WM}))
    image.write_bytes(b"corrected")
    yield segmented


def write_job(scan: Scan, model: Model, root: Path, **options: Any) -> HarmonizeJob:
    """Harmonize a scan, without rounding to integers."""
    job = make_job(scan, model, root, **{"output_type": "float32", **options})
    assert write_harmonized_scan(job)
    return job


def read_image(path: Path) -> np.ndarray:
    return np.asarray(load_image(path).get_fdata())


def is_b0(scan: Scan) -> np.ndarray:
    return np.asarray(scan.bvals) < 50


def harmonization_record(job: HarmonizeJob) -> dict[str, Any]:
    return dict(read_json(job.outputs.dwi(".json"))["Harmonization"])


def find_supported(job: HarmonizeJob) -> np.ndarray:
    """Voxels of a harmonized scan that a model can be applied to."""
    return find_supported_voxels(job.scan, read_image(job.outputs.mask) > 0)


def find_supported_voxels(scan: Scan, mask: np.ndarray) -> np.ndarray:
    """Voxels of the mask that have an S0, as have at least 8 of the 27 voxels about them."""
    s0 = read_image(scan.image)[..., is_b0(scan)].mean(-1)
    measured = mask & (s0 > 0.1 * np.median(s0[mask]))
    padded = np.pad(measured, 1).astype(int)
    count = sliding_window_view(padded, (3, 3, 3)).sum(axis=(3, 4, 5))
    return np.asarray(measured & (count >= 8))


def harmonized_attenuation(job: HarmonizeJob) -> np.ndarray:
    """S/S0 of the scan's own weighted volumes inside the mask, where a model can be applied."""
    b0s = is_b0(job.scan)
    s0 = read_image(job.scan.image)[..., b0s].mean(-1)
    measured = find_supported(job)
    harmonized = read_image(job.outputs.dwi())[measured]
    return np.asarray(harmonized[:, ~b0s] / s0[measured][:, None])
