"""One held-out subject: the errors, directions and agreement of predictions for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.spatial.interpolation import has_signal_around
from bids_shresnet.diffusion.tensors import TensorValues, fit_relative_tensor
from bids_shresnet.evaluation.agreement import Agreement, agreement_rows
from bids_shresnet.evaluation.combat_means import combat_means
from bids_shresnet.evaluation.coverage import CoverageRow, coverage_rows
from bids_shresnet.evaluation.group_means.regional_means import RegionalMean, regional_means
from bids_shresnet.evaluation.held_out_slices import HeldOutSlices, cut_slices
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
from bids_shresnet.evaluation.results import (
    ALL_PLACES,
    INTERIOR_PLACES,
    EndpointRow,
    HeldOutResult,
    HeldOutRow,
    Orientation,
)
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
        The target's measurement there: its signal, and FA and MD of its own maps.
    is_interior
        True for matched voxels with signal of the source on all sides.
    """

    job: EvaluateJob
    label: str
    subject: TravellingSubject
    measured: Quantities
    is_interior: Bool[np.ndarray, " v"]

    @property
    def matched(self) -> MatchedVoxels:
        """The matched voxels."""
        return self.subject.matched

    def errors(self, prediction: MethodPrediction) -> Iterator[HeldOutResult]:
        """Yield error and bias in every tissue and quantity, at all places and in the interior."""
        return self.compare(prediction.method, prediction.values)

    def combat_voxel_errors(self, prediction: MethodPrediction) -> Iterator[HeldOutResult]:
        """Yield error and bias of FA and MD after ComBat in each voxel of the template."""
        return self.compare("combat_voxel", prediction.combat_values)

    def combat_mean_errors(self) -> Iterator[HeldOutResult]:
        """Yield the bias of ComBat on tissue means; the error of a mean is its squared bias."""
        training = [
            open_travelling_subject(self.job.prepared_folders[label], self.job.shells)
            for label in self.job.split.training
        ]
        for tissue, quantity, mean, target_mean in combat_means(training, self.subject):
            bias = mean / target_mean - 1
            yield HeldOutResult(
                subject=self.label,
                fold=self.job.number,
                method="combat_mean",
                tissue=tissue,
                quantity=quantity,
                places=ALL_PLACES,
                nmse=bias**2,
                bias=bias,
                mean=mean,
                target_mean=target_mean,
            )

    def regional_means(self, prediction: MethodPrediction) -> Iterator[RegionalMean]:
        """Yield mean FA and MD of regions; none without a parcellation of the target's scan."""
        regions = self.subject.regions
        if regions is None:
            return iter(())
        names = self.job.region_names.get(self.label, {})
        row = self._row(prediction.method)
        return regional_means(row, regions, names, self.measured.to_dict(), prediction.values)

    def orientations(self, prediction: MethodPrediction) -> Iterator[Orientation]:
        """Yield the agreement of directions; none where too few voxels have one main direction."""
        mask = self._oriented_voxels()
        measured = self.measured
        predicted = prediction.quantities
        if predicted is None or mask.sum() < MIN_TISSUE_VOXELS:
            return
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
        quantities = require_signal(prediction)
        return agreement_rows(row, self.matched, self.measured, quantities)

    def coverages(self, prediction: MethodPrediction) -> Iterator[CoverageRow]:
        """Yield how much of the measurement lies within the uncertainty; none without it.

        Only the interior counts: at the edge, nothing was measured around a voxel.
        """
        measured = self.measured.to_dict()
        errors = {name: measured[name] - prediction.values[name] for name in prediction.deviations}
        tissues = dict(tissue_masks(np.where(self.is_interior, self.matched.tissue, 0)))
        return coverage_rows(self._row(prediction.method), tissues, errors, prediction.deviations)

    def powers(self, predictions: Sequence[MethodPrediction]) -> Iterator[RishPower]:
        """Yield the power of each order: that of the measurement first, then of the predictions."""
        yield from self._rish_powers(TARGET_MEASUREMENT, self.measured, is_denoised=False)
        is_denoising = METHOD_SPECS[self.job.applied_method].is_denoising
        for prediction in predictions:
            is_denoised = is_denoising and prediction.method != NO_HARMONIZATION
            yield from self._rish_powers(
                prediction.method, require_signal(prediction), is_denoised=is_denoised
            )

    def histograms(self, predictions: Sequence[MethodPrediction]) -> Histograms:
        """Return the joint histograms, one state per prediction."""
        counts = [
            joint_histograms(self.matched, self.measured, require_signal(prediction))
            for prediction in predictions
        ]
        return Histograms(np.stack(counts)[None], (self.label,))

    def slices(self, predictions: Sequence[MethodPrediction]) -> HeldOutSlices:
        """Return slices of FA and MD of the predictions and, last, of the measurement."""
        tensors = [require_signal(prediction).tensor for prediction in predictions]
        states = [[tensor.fa, tensor.md] for tensor in (*tensors, self.measured.tensor)]
        maps = np.moveaxis(np.array(states, dtype=np.float32), 2, 0)
        return cut_slices(self.label, self.subject.source, self.matched.points, maps)

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

    def compare(
        self, method: str, predicted: Mapping[str, Float[np.ndarray, "v *d"]]
    ) -> Iterator[HeldOutResult]:
        """Yield the errors of predicted values by their quantity."""
        for place, tissue, mask in self.iter_places():
            for quantity, values in predicted.items():
                row = EndpointRow(self.label, self.job.number, method, tissue, quantity)
                measured = self.measured.to_dict()[quantity]
                yield compare_values(row, place, measured[mask], values[mask])

    def iter_places(self) -> Iterator[tuple[str, str, Bool[np.ndarray, " v"]]]:
        """Yield places, tissue and voxels wherever a tissue has enough of them."""
        places = {ALL_PLACES: np.ones_like(self.is_interior), INTERIOR_PLACES: self.is_interior}
        for place, is_there in places.items():
            for tissue, mask in tissue_masks(np.where(is_there, self.matched.tissue, 0)):
                yield place, tissue, mask


def open_evaluation(job: EvaluateJob, label: str, folder: Path) -> SubjectEvaluation:
    """Open a held-out subject from the folder with its arrays."""
    subject = open_held_out_subject(folder, job.shells)
    matched = subject.matched
    is_interior = has_signal_around(subject.source, matched.points)
    signal = np.asarray(matched.signal, dtype=np.float32)
    direction = fit_relative_tensor(signal, matched.bvals, matched.bvecs).direction
    fa, md = np.asarray(subject.unharmonized.target_maps, dtype=np.float32).T
    measured = Quantities(signal, TensorValues(fa, md, direction))
    return SubjectEvaluation(
        job=job, label=label, subject=subject, measured=measured, is_interior=is_interior
    )


def require_signal(prediction: MethodPrediction) -> Quantities:
    """Quantities of a method that can be applied, which predicts the signal."""
    assert prediction.quantities is not None, f"{prediction.method} predicts no signal"
    return prediction.quantities


def compare_values(
    row: EndpointRow,
    places: str,
    measured: Float[np.ndarray, "v *d"],
    predicted: Float[np.ndarray, "v *d"],
) -> HeldOutResult:
    """Compare predicted with measured values of some voxels of a tissue."""
    return HeldOutResult(
        subject=row.subject,
        fold=row.fold,
        method=row.method,
        tissue=row.tissue,
        quantity=row.quantity,
        places=places,
        nmse=nmse(measured, predicted),
        bias=relative_bias(measured, predicted),
        mean=float(predicted.mean()),
        target_mean=float(measured.mean()),
    )
