"""A scan in memory and a model -> the DWI that the target scanner would have measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise, median_noise
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.harmonization.apply_coefficients import (
    Application,
    MissingShells,
    apply_coefficients,
)
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.options import HarmonizeOptions, applicable_method
from bids_shresnet.harmonization.predict import predict, predict_missing_shells
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.outputs.model.card import FoldRecord
from bids_shresnet.outputs.model.folder import Model


def apply_model(
    scan: LoadedScan,
    representation: Representation,
    *,
    model: Model,
    folds: Sequence[FoldRecord],
    options: HarmonizeOptions,
) -> HarmonizedScan:
    """Harmonize a scan with some folds of a model; no file is written.

    `representation` is that of the scan in the shells of the model's source.
    """
    method = applicable_method(model, options.method)
    prediction = predict(model, folds, representation, method=method, device=options.device)
    harmonized_mask = prediction.sh_image.mask
    if options.should_abstain:
        harmonized_mask = harmonized_mask & (prediction.novelty <= 1)
    harmonized = apply_coefficients(
        scan,
        representation,
        replace(prediction.sh_image, mask=harmonized_mask),
        Application(
            method=method,
            bvalues=model.target_bvalues,
            directions=model.target_directions if options.output_directions == "target" else None,
            noise=measurement_noise(folds),
            noise_choice=options.noise,
            missing=_predict_missing(model, folds, representation, options),
        ),
    )
    return replace(harmonized, uncertainty=prediction.uncertainty, novelty=prediction.novelty)


def measurement_noise(folds: Sequence[FoldRecord]) -> MeasurementNoise | None:
    """Noise of the target's measurements: the median of the folds that know it."""
    known = [fold.measurement_noise for fold in folds if fold.measurement_noise is not None]
    return median_noise(known) if known else None


def _predict_missing(
    model: Model,
    folds: Sequence[FoldRecord],
    representation: Representation,
    options: HarmonizeOptions,
) -> MissingShells | None:
    """Predict the shells that only the target has, if these are asked for."""
    if not options.should_predict_missing:
        return None
    image = predict_missing_shells(model, folds, representation.image, options.device)
    return MissingShells(image=image, directions=model.missing_shell_directions)
