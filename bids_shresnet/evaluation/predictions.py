"""Predictions at the matched voxels of a held-out subject: every method, and no harmonization.

A method harmonizes the whole scan, as for a user. FA and MD are those of the maps that a user gets,
looked up at the matched voxels; the signal is that of its coefficients there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.interpolation import SPLINE_ORDER, sample_inside
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import TensorMaps, TensorValues
from bids_shresnet.evaluation.coverage import PredictedDeviation
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.evaluation.quantities import (
    TISSUE_CODES,
    Quantities,
    quantities_from_coefficients,
)
from bids_shresnet.harmonization.apply_coefficients import Application, apply_coefficients
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.predict import predict_with_error
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.methods.scan_input import ScanInput, predict_from_image
from bids_shresnet.methods.template.template_methods import load_template_methods
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.settings import NO_HARMONIZATION, Method
from bids_shresnet.training.match_scans import RepresentedScan
from bids_shresnet.training.travelling_subjects import open_travelling_subject


@dataclass(frozen=True)
class MethodPrediction:
    """Prediction of one method for the p matched voxels of a held-out subject.

    Attributes
    ----------
    quantities
        Signal, FA and MD; None for methods that predict no signal.
    maps
        FA and MD of such methods, by quantity.
    combat_values
        FA and MD corrected by ComBat in the template of linear RISH; empty for other methods.
    deviations
        Predicted uncertainty by quantity; empty for methods that do not know it.
    """

    method: str
    quantities: Quantities | None
    maps: Mapping[str, Float[np.ndarray, " p"]] = field(default_factory=dict)
    combat_values: Mapping[str, Float[np.ndarray, " p"]] = field(default_factory=dict)
    deviations: Mapping[str, PredictedDeviation] = field(default_factory=dict)

    @property
    def values(self) -> Mapping[str, Float[np.ndarray, "p *d"]]:
        """All that is predicted, by quantity."""
        return self.maps if self.quantities is None else self.quantities.to_dict()


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
            source_s0=matched.source_s0[rows],
            points=matched.points[rows],
            tissue=matched.tissue[rows],
            patches=no_patches,
        ),
        unharmonized=replace(
            unharmonized,
            source_coefficients=unharmonized.source_coefficients[rows],
            target_maps=unharmonized.target_maps[rows],
        ),
        regions=None if subject.regions is None else subject.regions[rows],
    )


def predict_all_methods(
    job: EvaluateJob, subject: TravellingSubject, scan: RepresentedScan
) -> Iterator[MethodPrediction]:
    """Yield no harmonization first, then the methods of the job.

    `scan` is the source scan of the subject, because what a user gets is made from it.
    """
    yield MethodPrediction(NO_HARMONIZATION, unharmonized_quantities(subject))
    for method in job.methods:
        yield _predict(job, method, subject, scan)


def unharmonized_quantities(subject: TravellingSubject) -> Quantities:
    """FA and MD of the source scan, and its unregularized signal in the target's directions."""
    resampled = quantities_from_coefficients(
        subject.unharmonized.source_coefficients, subject.matched
    )
    fa, md = source_maps_at_matched_voxels(subject).T
    return Quantities(resampled.signal, TensorValues(fa, md, resampled.tensor.direction))


def source_maps_at_matched_voxels(subject: TravellingSubject) -> Float[np.ndarray, "v 2"]:
    """FA and MD of the source scan, interpolated at the matched voxels."""
    return _look_up(subject.unharmonized.source_maps, subject)


def look_up_maps(maps: TensorMaps, subject: TravellingSubject) -> Float[np.ndarray, "v 2"]:
    """FA and MD on the source's grid, interpolated at the matched voxels."""
    return _look_up(np.stack([maps.fa, maps.md], axis=-1), subject)


def _look_up(
    values: Float[np.ndarray, "x y z n"],
    subject: TravellingSubject,
    *,
    spline_order: int = SPLINE_ORDER,
) -> Float[np.ndarray, "v n"]:
    source = subject.source
    points = subject.matched.points
    return sample_inside(values, source.mask, source.affine, points, spline_order=spline_order)


def _predict(
    job: EvaluateJob, method: Method, subject: TravellingSubject, scan: RepresentedScan
) -> MethodPrediction:
    """Harmonize the whole scan, as for a user, and interpolate the result."""
    spec = METHOD_SPECS[method]
    file = job.fitted_files[spec.fitted_method]
    if spec.is_map_method:
        return _predict_maps(job, method, subject)
    combat_values: Mapping[str, Float[np.ndarray, " p"]] = {}
    variance: Float[np.ndarray, "v k"] | None = None
    if method == "linear_rish":  # one registration to its template serves ComBat as well
        template_methods = load_template_methods(read_arrays(file), {})
        coefficients, combat_values = template_methods.predict_with_combat(subject)
    elif method == job.applied_method and spec.predict is predict_from_image:
        harmonizer = load_harmonizer(file, method, job.device)
        coefficients, variance = predict_with_error(harmonizer, subject.source)
    else:
        representation = replace(scan.representation, image=subject.source)
        scan_input = ScanInput(scan.loaded.dwi, representation, job.target_bvalues)
        coefficients = spec.predict(load_harmonizer(file, method, job.device), scan_input)
    predicted = replace(
        subject.source, coefficients=unmask(coefficients.astype(np.float32), subject.source.mask)
    )
    resampled = quantities_from_coefficients(
        _look_up(predicted.coefficients, subject), subject.matched
    )
    coefficient_variance = None if variance is None else unmask(variance, subject.source.mask)
    harmonized = _harmonize(job, method, scan, predicted, coefficient_variance)
    fa, md = look_up_maps(harmonized.maps, subject).T
    quantities = Quantities(resampled.signal, TensorValues(fa, md, resampled.tensor.direction))
    return MethodPrediction(
        method,
        quantities,
        combat_values=combat_values,
        deviations=_look_up_deviations(harmonized, subject),
    )


def _harmonize(
    job: EvaluateJob,
    method: Method,
    scan: RepresentedScan,
    predicted: ShImage,
    coefficient_variance: Float[np.ndarray, "x y z k"] | None,
) -> HarmonizedScan:
    """Make the scan that a user gets."""
    if METHOD_SPECS[method].is_measured:  # nothing is predicted: all voxels stay as measured
        predicted = replace(predicted, mask=np.zeros_like(predicted.mask))
    application = Application(
        method=method,
        bvalues=job.target_bvalues,
        noise=job.noise,
        coefficient_variance=coefficient_variance,
    )
    return apply_coefficients(scan.loaded, scan.representation, predicted, application)


def _look_up_deviations(
    harmonized: HarmonizedScan, subject: TravellingSubject
) -> dict[str, PredictedDeviation]:
    """Uncertainty and noise at the matched voxels; none where one of them is not known.

    Variances are interpolated linearly: those of MD beside CSF differ by powers of ten, and splines
    swing there. The signal has one in each of the target's directions.
    """
    error_model = harmonized.error_model
    if error_model is None or harmonized.noise_model is None or harmonized.uncertainty is None:
        return {}
    matched = subject.matched
    signal = np.sqrt(_look_up(error_model.signal_variance, subject, spline_order=1))
    shell_index = np.unique(matched.bvals, return_inverse=True)[1]
    signal_noise = np.broadcast_to(np.sqrt(matched.noise_variance)[:, None], matched.signal.shape)
    deviations = {"signal": PredictedDeviation(signal[:, shell_index], signal_noise)}
    noise = harmonized.fit_noise_deviations()
    for name in ("fa", "md"):
        maps = [getattr(harmonized.uncertainty, name), getattr(noise, name)]
        variances = _look_up(np.square(np.stack(maps, axis=-1)), subject, spline_order=1)
        deviations[name.upper()] = PredictedDeviation(*np.sqrt(variances).T)
    return deviations


def _predict_maps(job: EvaluateJob, method: Method, subject: TravellingSubject) -> MethodPrediction:
    """Predict FA and MD on the source's grid with a method that predicts no signal."""
    file = job.fitted_files[METHOD_SPECS[method].fitted_method]
    values = load_harmonizer(file, method, job.device).predict(subject.source)
    image = unmask(values.astype(np.float32), subject.source.mask)
    fa, md = _look_up(image, subject).T
    return MethodPrediction(method, None, maps={"FA": fa, "MD": md})
