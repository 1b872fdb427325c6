"""The error that a perfect prediction without noise has, because the target's scan has noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.measurement_noise import count_b0_volumes, draw_measurement
from bids_shresnet.diffusion.tensors import fit_relative_tensor
from bids_shresnet.evaluation.predictions import MethodPrediction
from bids_shresnet.evaluation.results import NOISE_FLOOR, HeldOutResult
from bids_shresnet.evaluation.subject_evaluation import SubjectEvaluation, require_signal
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.pairs import MatchedVoxels

DRAWS = 6  # of the target's noise, whose variance is taken
MIN_RELATIVE_S0 = 0.1  # of a draw; with less, nothing was measured


def noise_floor_errors(
    evaluation: SubjectEvaluation, predictions: Sequence[MethodPrediction]
) -> Iterator[HeldOutResult]:
    """Yield the expected errors of a perfect prediction of each quantity.

    It is the variance that the target's noise gives the quantity: of the signal the noise variance
    itself and that of S0; of FA and MD the variance over draws of the noise on a signal without
    noise, for which the prediction of the applied or else another denoising method stands. There
    are no rows if the noise is not known, or if no method predicts without noise.
    """
    applied = evaluation.job.applied_method
    candidates = sorted(predictions, key=lambda item: item.method != applied)
    denoised = next(filter(_is_denoised, candidates), None)
    if denoised is None or not np.isfinite(evaluation.matched.noise_variance).all():
        return
    signal = require_signal(denoised).signal
    variances = noise_variances(
        evaluation.matched,
        signal,
        b0_count=count_b0_volumes(evaluation.subject),
        seed=evaluation.job.seed,
    )
    for places, tissue, mask in evaluation.iter_places():
        for quantity, measured in evaluation.measured.to_dict().items():
            reference = measured[mask]
            yield HeldOutResult(
                subject=evaluation.label,
                fold=evaluation.job.number,
                method=NOISE_FLOOR,
                tissue=tissue,
                quantity=quantity,
                places=places,
                nmse=float(variances[quantity][mask].mean() / np.square(reference).mean()),
                bias=0.0,
                mean=float(reference.mean()),
                target_mean=float(reference.mean()),
            )


def noise_variances(
    matched: MatchedVoxels, signal: Float[np.ndarray, "v d"], *, b0_count: int, seed: int
) -> Mapping[str, Float[np.ndarray, " v"]]:
    """Variance of each quantity over draws of the target's noise on a signal without noise.

    S0, the mean of some b0 volumes, has the noise of their number.
    """
    rng = np.random.default_rng(seed)
    deviation = np.sqrt(matched.noise_variance)
    fits = []
    for _ in range(DRAWS):
        drawn = draw_measurement(signal, deviation, rng)
        s0 = 1 + deviation / np.sqrt(b0_count) * rng.standard_normal(len(deviation))
        relative = drawn / np.maximum(s0, MIN_RELATIVE_S0)[:, None]
        fits.append(fit_relative_tensor(relative, matched.bvals, matched.bvecs))
    s0_share = np.square(signal).mean(axis=1) / b0_count  # of the weighted volumes' noise
    return {
        "signal": matched.noise_variance * (1 + s0_share),
        "FA": np.var([fit.fa for fit in fits], axis=0, ddof=1),
        "MD": np.var([fit.md for fit in fits], axis=0, ddof=1),
    }


def _is_denoised(prediction: MethodPrediction) -> bool:
    denoising = [method for method, spec in METHOD_SPECS.items() if spec.is_denoising]
    return prediction.method in denoising and prediction.quantities is not None
