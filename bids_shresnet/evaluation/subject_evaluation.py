"""One held-out subject: the errors, directions and agreement of predictions for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.tensors import fit_relative_tensor
from bids_shresnet.evaluation.agreement import Agreement, agreement_rows
from bids_shresnet.evaluation.combat_means import combat_mean_biases
from bids_shresnet.evaluation.histograms import Histograms, joint_histograms
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.evaluation.predictions import MethodPrediction, open_held_out_subject
from bids_shresnet.evaluation.quantities import (
    MIN_ORIENTED_FA,
    MIN_TISSUE_VOXELS,
    Quantities,
    angular_correlation,
    mean_angle,
    nmse,
    relative_bias,
    tissue_masks,
)
from bids_shresnet.evaluation.results import HeldOutResult, HeldOutRow, Orientation
from bids_shresnet.evaluation.rish_power import TARGET_MEASUREMENT, RishPower, rish_powers
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject
from bids_shresnet.scans import Tissue
from bids_shresnet.settings import NO_HARMONIZATION
from bids_shresnet.training.travelling_subjects import open_travelling_subject


@dataclass(frozen=True)
class SubjectEvaluation:
    """A held-out subject, with what the target scanner measured.

    Attributes
    ----------
    label
        Its label without `sub-`.
    subject
        Its matched voxels in grey and white matter.
    measured
        Quantities of the target's measurement there.
    """

    job: EvaluateJob
    label: str
    subject: TravellingSubject
    measured: Quantities

    @property
    def matched(self) -> MatchedVoxels:
        """The matched voxels."""
        return self.subject.matched

    def errors(self, prediction: MethodPrediction) -> Iterator[HeldOutResult]:
        """Yield error and bias in every tissue and quantity."""
        predicted = prediction.quantities.to_dict()
        for tissue, mask in tissue_masks(self.matched.tissue):
            for quantity, measured in self.measured.to_dict().items():
                yield self._result(
                    method=prediction.method,
                    tissue=tissue,
                    quantity=quantity,
                    error=nmse(measured[mask], predicted[quantity][mask]),
                    bias=relative_bias(measured[mask], predicted[quantity][mask]),
                )

    def combat_voxel_errors(self, prediction: MethodPrediction) -> Iterator[HeldOutResult]:
        """Yield error and bias of FA and MD after ComBat in each voxel of the template."""
        measured = self.measured.to_dict()
        for quantity, values in prediction.combat_values.items():
            for tissue, mask in tissue_masks(self.matched.tissue):
                yield self._result(
                    method="combat_voxel",
                    tissue=tissue,
                    quantity=quantity,
                    error=nmse(measured[quantity][mask], values[mask]),
                    bias=relative_bias(measured[quantity][mask], values[mask]),
                )

    def combat_mean_errors(self) -> Iterator[HeldOutResult]:
        """Yield the bias of ComBat on tissue means; the error of a mean is its squared bias."""
        training = [
            open_travelling_subject(self.job.prepared_folders[label], self.job.shells)
            for label in self.job.split.training
        ]
        for tissue, quantity, bias in combat_mean_biases(training, self.subject):
            yield self._result(
                method="combat_mean", tissue=tissue, quantity=quantity, error=bias**2, bias=bias
            )

    def orientations(self, prediction: MethodPrediction) -> Iterator[Orientation]:
        """Yield the agreement of directions; none where too few voxels have one main direction."""
        mask = self._oriented_voxels()
        if mask.sum() < MIN_TISSUE_VOXELS:
            return
        measured = self.measured
        predicted = prediction.quantities
        yield Orientation(
            subject=self.label,
            fold=self.job.number,
            method=prediction.method,
            angle=mean_angle(measured.tensor.direction[mask], predicted.tensor.direction[mask]),
            correlation=angular_correlation(
                self._anisotropic_coefficients(predicted.signal[mask]),
                self._anisotropic_coefficients(measured.signal[mask]),
            ),
        )

    def agreements(self, prediction: MethodPrediction) -> Iterator[Agreement]:
        """Yield the differences from the measurement in every tissue and quantity."""
        row = self._row(prediction.method)
        return agreement_rows(row, self.matched, self.measured, prediction.quantities)

    def powers(self, predictions: Sequence[MethodPrediction]) -> Iterator[RishPower]:
        """Yield the power of each order: that of the measurement first, then of the predictions."""
        yield from self._rish_powers(TARGET_MEASUREMENT, self.measured, is_denoised=False)
        is_denoising = METHOD_SPECS[self.job.applied_method].is_denoising
        for prediction in predictions:
            is_denoised = is_denoising and prediction.method != NO_HARMONIZATION
            yield from self._rish_powers(
                prediction.method, prediction.quantities, is_denoised=is_denoised
            )

    def histograms(self, predictions: Sequence[MethodPrediction]) -> Histograms:
        """Return the joint histograms, one state per prediction."""
        counts = [
            joint_histograms(self.matched, self.measured, prediction.quantities)
            for prediction in predictions
        ]
        return Histograms(np.stack(counts)[None], (self.label,))

    def _oriented_voxels(self) -> Bool[np.ndarray, " v"]:
        is_white = self.matched.tissue == Tissue.WM
        return np.asarray(is_white & (self.measured.tensor.fa > MIN_ORIENTED_FA))

    def _anisotropic_coefficients(
        self, signal: Float[np.ndarray, "v d"]
    ) -> Float[np.ndarray, "v c"]:
        """Least-squares coefficients of the orders above 0."""
        inverse = np.linalg.pinv(self.matched.sh_matrix.astype(np.float64)).T.astype(np.float32)
        is_anisotropic = np.concatenate(
            [np.arange(shell.coefficient_count) > 0 for shell in self.job.shells]
        )
        return np.asarray((signal @ inverse)[:, is_anisotropic])

    def _rish_powers(
        self, method: str, quantities: Quantities, *, is_denoised: bool
    ) -> Iterator[RishPower]:
        return rish_powers(
            self._row(method), self.matched, quantities, self.job.shells, is_denoised=is_denoised
        )

    def _row(self, method: str) -> HeldOutRow:
        return HeldOutRow(subject=self.label, fold=self.job.number, method=method)

    def _result(
        self, *, method: str, tissue: str, quantity: str, error: float, bias: float
    ) -> HeldOutResult:
        return HeldOutResult(
            subject=self.label,
            fold=self.job.number,
            method=method,
            tissue=tissue,
            quantity=quantity,
            nmse=error,
            bias=bias,
        )


def open_evaluation(job: EvaluateJob, label: str, folder: Path) -> SubjectEvaluation:
    """Open a held-out subject from the folder with its arrays."""
    subject = open_held_out_subject(folder, job.shells)
    matched = subject.matched
    signal = np.asarray(matched.signal, dtype=np.float32)
    measured = Quantities(signal, fit_relative_tensor(signal, matched.bvals, matched.bvecs))
    return SubjectEvaluation(job=job, label=label, subject=subject, measured=measured)
