"""A scan in memory and a model -> the DWI that the target scanner would have measured."""

from __future__ import annotations

from dataclasses import replace

from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.harmonization.apply_coefficients import (
    Application,
    MissingShells,
    apply_coefficients,
)
from bids_shresnet.harmonization.error_model import Factors
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
    fit: FoldRecord,
    options: HarmonizeOptions,
) -> HarmonizedScan:
    """Harmonize a scan with a fit of a model; no file is written.

    `representation` is that of the scan in the shells of the model's source.
    """
    method = applicable_method(model, options.method)
    prediction = predict(model, fit, representation, method=method, device=options.device)
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
            noise=fit.measurement_noise,
            noise_choice=options.noise,
            coefficient_variance=prediction.coefficient_variance,
            factors=uncertainty_factors(model),
            missing=_predict_missing(model, fit, representation, options),
        ),
    )
    return replace(
        harmonized, novelty=prediction.novelty, roughness_ratio=prediction.roughness_ratio
    )


def uncertainty_factors(model: Model) -> Factors:
    """Factors that a cross-validation found; none without one."""
    validation = model.card.validation
    if validation is None or validation.uncertainty is None:
        return {}
    return validation.uncertainty.factors


def _predict_missing(
    model: Model,
    fit: FoldRecord,
    representation: Representation,
    options: HarmonizeOptions,
) -> MissingShells | None:
    """Predict the shells that only the target has, if these are asked for."""
    if not options.should_predict_missing:
        return None
    image = predict_missing_shells(model, fit, representation.image, options.device)
    return MissingShells(image=image, directions=model.missing_shell_directions)
