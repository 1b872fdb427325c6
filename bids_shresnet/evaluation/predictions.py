"""Predictions at the matched voxels of a held-out subject: every method, and no harmonization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.interpolation import sample_image
from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.diffusion.tensors import TensorValues
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.evaluation.quantities import (
    TISSUE_CODES,
    Quantities,
    add_measurement_noise,
    quantities_from_coefficients,
)
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.methods.template_methods import load_template_methods
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import Shell
from bids_shresnet.settings import NO_HARMONIZATION, Method
from bids_shresnet.training.travelling_subjects import open_travelling_subject


@dataclass(frozen=True)
class MethodPrediction:
    """Prediction of one method for the p matched voxels of a held-out subject.

    Attributes
    ----------
    quantities
        Signal, FA and MD.
    combat_values
        FA and MD corrected by ComBat in the template of linear RISH; empty for other methods.
    """

    method: str
    quantities: Quantities
    combat_values: Mapping[str, Float[np.ndarray, " p"]] = field(default_factory=dict)


def open_held_out_subject(folder: Path, shells: tuple[Shell, ...]) -> TravellingSubject:
    """Open a subject with its evaluated voxels only, in memory.

    These are the voxels of grey and white matter that the source measured as well. Training
    patches are not read.
    """
    subject = open_travelling_subject(folder, shells)
    matched = subject.matched
    unharmonized = subject.unharmonized
    rows = np.isin(matched.tissue, list(TISSUE_CODES.values()))
    no_patches = np.broadcast_to(np.float16(0), (int(rows.sum()), *matched.patches.shape[1:]))
    return replace(
        subject,
        matched=replace(
            matched,
            signal=matched.signal[rows],
            noise_variance=matched.noise_variance[rows],
            points=matched.points[rows],
            tissue=matched.tissue[rows],
            patches=no_patches,
        ),
        unharmonized=replace(
            unharmonized,
            source_coefficients=unharmonized.source_coefficients[rows],
            target_maps=unharmonized.target_maps[rows],
        ),
    )


def predict_all_methods(job: EvaluateJob, subject: TravellingSubject) -> Iterator[MethodPrediction]:
    """Yield no harmonization first, then the methods of the job."""
    yield MethodPrediction(NO_HARMONIZATION, unharmonized_quantities(subject))
    for method in job.methods:
        yield _predict(job, method, subject)


def unharmonized_quantities(subject: TravellingSubject) -> Quantities:
    """FA and MD of the source scan, and its unregularized signal in the target's directions."""
    resampled = quantities_from_coefficients(
        subject.unharmonized.source_coefficients, subject.matched
    )
    fa, md = source_maps_at_matched_voxels(subject).T
    return Quantities(resampled.signal, TensorValues(fa, md, resampled.tensor.direction))


def source_maps_at_matched_voxels(subject: TravellingSubject) -> Float[np.ndarray, "v 2"]:
    """FA and MD of the source scan, interpolated at the matched voxels."""
    maps = subject.unharmonized.source_maps
    return sample_image(maps, subject.source.affine, subject.matched.points)


def _predict(job: EvaluateJob, method: Method, subject: TravellingSubject) -> MethodPrediction:
    """Harmonize the whole scan, as for a user, and interpolate it at the matched voxels.

    A denoised prediction gets the target's noise, so that it is compared as if it was measured.
    """
    file = job.fitted_files[METHOD_SPECS[method].fitted_method]
    combat_values: Mapping[str, Float[np.ndarray, " p"]] = {}
    if method == "linear_rish":  # one registration to its template serves ComBat as well
        template_methods = load_template_methods(read_arrays(file), {})
        coefficients, combat_values = template_methods.predict_with_combat(subject)
    else:
        coefficients = load_harmonizer(file, method, job.device).predict(subject.source)
    image = unmask(coefficients.astype(np.float32), subject.source.mask)
    matched_coefficients = sample_image(image, subject.source.affine, subject.matched.points)
    quantities = quantities_from_coefficients(matched_coefficients, subject.matched)
    if METHOD_SPECS[method].is_denoising:
        quantities = add_measurement_noise(quantities, subject.matched, seed=job.seed)
    return MethodPrediction(method, quantities, combat_values)
