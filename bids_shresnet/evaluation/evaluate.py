"""Evaluate: the methods of one fold on the subjects that it never saw -> errors, biases and angles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.interpolation import has_signal_around, sample_image
from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.diffusion.tensors import TensorValues, fit_relative_tensor
from bids_shresnet.evaluation.agreement import (
    TARGET_MEASUREMENT,
    Agreement,
    Histograms,
    RishPower,
    agreement_rows,
    concatenate_histograms,
    joint_histograms,
    rish_powers,
)
from bids_shresnet.evaluation.cross_validation import read_histograms, write_histograms
from bids_shresnet.evaluation.quantities import (
    MIN_ORIENTED_FA,
    MIN_TISSUE_VOXELS,
    TISSUE_CODES,
    Quantities,
    add_measurement_noise,
    angular_correlation,
    mean_angle,
    nmse,
    quantities_from_coefficients,
    tissue_masks,
)
from bids_shresnet.evaluation.statistics import RESCAN, HeldOutResult
from bids_shresnet.io.arrays import ARRAY_RECORD_FILE
from bids_shresnet.io.storage import hash_file, hash_record, read_json, write_json
from bids_shresnet.methods.combat import fit_mean_combat
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.methods.template_methods import COMBAT_MAPS, TemplateMethods
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import Split, TravellingSubject
from bids_shresnet.scans import Shell, Tissue
from bids_shresnet.settings import NO_HARMONIZATION, Method
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import open_travelling_subject
from bids_shresnet.version import __version__


@dataclass(frozen=True)
class Orientation:
    """How well directions are kept in white matter.

    Attributes
    ----------
    angle
        Mean angle between the principal directions of prediction and measurement, degrees.
    correlation
        Mean angular correlation of the signal (orders above 0) with the measured one.
    """

    subject: str
    fold: int
    method: str
    angle: float
    correlation: float


@dataclass(frozen=True)
class EvaluationSettings:
    """How folds are evaluated, and where the results go.

    Attributes
    ----------
    folder
        Folder for the results of each fold.
    methods
        Methods to compare.
    applied_method
        The method that harmonizes scans. It is always compared, and its agreement is recorded.
    """

    folder: Path
    methods: tuple[Method, ...]
    applied_method: Method
    seed: int
    device: str


@dataclass(frozen=True)
class EvaluateJob:
    """One fold.

    Attributes
    ----------
    prepared_folders
        Folder with the arrays of each subject.
    repeat_folders
        The same for pairs of the target scanner's scans, where subjects were scanned twice.
    applied_method
        Of the methods the one that harmonizes scans, of which the likeness is kept as well.
    fitted_files
        File of every method that has a fit of its own.
    file
        Where the results go.
    """

    number: int
    split: Split
    prepared_folders: Mapping[str, Path]
    repeat_folders: Mapping[str, Path]
    shells: tuple[Shell, ...]
    methods: tuple[Method, ...]
    applied_method: Method
    fitted_files: Mapping[Method, Path]
    file: Path
    seed: int
    device: str

    @property
    def histograms_file(self) -> Path:
        """Joint histograms, beside the results."""
        return self.file.with_suffix(".safetensors")

    @property
    def digest(self) -> str:
        """Of all that the results depend on."""
        files = {name: hash_file(path) for name, path in self.fitted_files.items()}
        subjects = [
            hash_file(self.prepared_folders[name] / ARRAY_RECORD_FILE)
            for name in (*self.split.training, *self.split.test)
        ]
        repeats = {
            name: hash_file(self.repeat_folders[name] / ARRAY_RECORD_FILE)
            for name in self.split.test
            if name in self.repeat_folders
        }
        methods = [list(self.methods), self.applied_method]
        return hash_record(
            [__version__, asdict(self.split), methods, files, subjects, repeats, self.seed]
        )


@dataclass(frozen=True)
class EvaluationResults:
    """What was found on held-out subjects; the last three of doing nothing and of the applied method."""

    rows: tuple[HeldOutResult, ...]
    orientations: tuple[Orientation, ...]
    agreements: tuple[Agreement, ...]
    powers: tuple[RishPower, ...]
    histograms: Histograms


RESULT_TABLES = {
    "rows": HeldOutResult,
    "orientations": Orientation,
    "agreements": Agreement,
    "powers": RishPower,
}


def evaluation_jobs(
    prepared: Sequence[PrepareJob],
    repeats: Sequence[PrepareJob],
    model: Model,
    baselines: Sequence[FoldJob],
    settings: EvaluationSettings,
) -> tuple[EvaluateJob, ...]:
    """Make one job per fold of the model."""
    folders = {item.source.subject: item.folder for item in prepared}
    repeat_folders = {item.source.subject: item.folder for item in repeats}
    methods = tuple(dict.fromkeys((*settings.methods, settings.applied_method)))
    jobs = []
    for number, fold in enumerate(model.card.folds, 1):
        fitted = {job.method: job.file for job in baselines if job.number == number} | {
            model.card.fitted_as: model.folder / fold.weights.file
        }
        job = EvaluateJob(
            number=number,
            split=model.splits[number - 1],
            prepared_folders=folders,
            repeat_folders=repeat_folders,
            shells=model.source_shells,
            methods=methods,
            applied_method=settings.applied_method,
            fitted_files=fitted,
            file=settings.folder / f"evaluation-{number:02d}.json",
            seed=settings.seed,
            device=settings.device,
        )
        jobs.append(job)
    return tuple(jobs)


def evaluate_fold(job: EvaluateJob) -> bool:
    """Try every method on the fold's held-out subjects; False if that was done before."""
    if job.file.exists() and read_json(job.file)["inputs"] == job.digest:
        return False
    found = [_evaluate_subject(job, subject) for subject in job.split.test]
    write_histograms(job.histograms_file, concatenate_histograms([one.histograms for one in found]))
    record = {
        name: [asdict(row) for one in found for row in getattr(one, name)] for name in RESULT_TABLES
    }
    write_json(job.file, {"inputs": job.digest, **record})
    return True


def read_results(jobs: Sequence[EvaluateJob]) -> EvaluationResults:
    """The results of all folds."""
    records: list[Any] = [read_json(job.file) for job in jobs]
    tables = {
        name: tuple(kind(**row) for record in records for row in record[name])
        for name, kind in RESULT_TABLES.items()
    }
    return EvaluationResults(
        **tables,
        histograms=concatenate_histograms([read_histograms(job.histograms_file) for job in jobs]),
    )


def _evaluate_subject(job: EvaluateJob, subject: str) -> EvaluationResults:
    """Every method on one held-out subject."""
    trial = SubjectEvaluation(
        job,
        subject,
        _select_grey_and_white(open_travelling_subject(job.prepared_folders[subject], job.shells)),
    )
    trials = [(trial, method, looks) for method, looks in trial.predict_all_methods()]
    likeness = trial.agreement(
        {
            method: looks
            for _, method, looks in trials
            if method in (NO_HARMONIZATION, job.applied_method)
        }
    )
    if subject in job.repeat_folders:  # judged where the target's two scans were matched
        again = SubjectEvaluation(
            job,
            subject,
            _select_grey_and_white(
                open_travelling_subject(job.repeat_folders[subject], job.shells)
            ),
        )
        trials.insert(1, (again, RESCAN, again.unharmonized_quantities()))  # after doing nothing
    rows = [row for one, method, looks in trials for row in one.errors(method, looks)]
    orientations = [
        item for one, method, looks in trials for item in one.orientation(method, looks)
    ]
    return EvaluationResults((*rows, *trial.combat_errors()), tuple(orientations), *likeness)


class SubjectEvaluation:
    """All methods on one held-out subject."""

    def __init__(self, job: EvaluateJob, subject: str, travelling: TravellingSubject) -> None:
        self.job, self.subject, self.travelling = job, subject, travelling
        self.matched = travelling.matched
        measured = np.asarray(self.matched.signal, dtype=np.float32)
        self.measured = Quantities(
            measured, fit_relative_tensor(measured, self.matched.bvals, self.matched.bvecs)
        )
        self.combat_values: dict[str, Float[np.ndarray, " p"]] = {}

    def predict_all_methods(self) -> Iterator[tuple[str, Quantities]]:
        """Doing nothing, then every method: its name, and how its prediction looks where the target measured."""
        yield NO_HARMONIZATION, self.unharmonized_quantities()
        for method in self.job.methods:
            looks = quantities_from_coefficients(self._predict(method), self.matched)
            denoised = METHOD_SPECS[method].is_denoising
            yield (
                method,
                add_measurement_noise(looks, self.matched, seed=self.job.seed)
                if denoised
                else looks,
            )

    def errors(self, method: str, quantities: Quantities) -> Iterator[HeldOutResult]:
        """Error and bias of every tissue and quantity."""
        for tissue, inside in tissue_masks(self.matched.tissue):
            for quantity, measured in self.measured.to_dict().items():
                error = nmse(measured[inside], quantities.to_dict()[quantity][inside])
                mean = quantities.to_dict()[quantity][inside].mean() / measured[inside].mean()
                yield self._held_out_result(method, tissue, quantity, error, float(mean) - 1)

    def agreement(
        self, quantities_by_method: Mapping[str, Quantities]
    ) -> tuple[tuple[Agreement, ...], tuple[RishPower, ...], Histograms]:
        """How the scan before and after lies to what was measured: rows, power by order, and joint histograms."""
        rows: list[Agreement] = []
        power = [*self._rish_powers(TARGET_MEASUREMENT, self.measured, is_denoised=False)]
        counts = []
        for method, looks in quantities_by_method.items():
            rows += agreement_rows(
                (self.subject, self.job.number, method), self.matched, self.measured, looks
            )
            denoised = (
                method != NO_HARMONIZATION and METHOD_SPECS[self.job.applied_method].is_denoising
            )
            power += self._rish_powers(method, looks, is_denoised=denoised)
            counts.append(joint_histograms(self.matched, self.measured, looks))
        return tuple(rows), tuple(power), Histograms(np.stack(counts)[None], (self.subject,))

    def orientation(self, method: str, quantities: Quantities) -> Iterator[Orientation]:
        """Directions, in white matter of one main direction; nothing where there is next to none."""
        where = (self.matched.tissue == Tissue.WM) & (self.measured.tensor.fa > MIN_ORIENTED_FA)
        if where.sum() < MIN_TISSUE_VOXELS:
            return
        apart = mean_angle(
            self.measured.tensor.direction[where], quantities.tensor.direction[where]
        )
        inverse = np.linalg.pinv(self.matched.sh_matrix.astype(np.float64)).T.astype(np.float32)
        keep = np.concatenate([np.arange(shell.coefficient_count) > 0 for shell in self.job.shells])
        pair = [
            (part[where] @ inverse)[:, keep] for part in (quantities.signal, self.measured.signal)
        ]
        yield Orientation(self.subject, self.job.number, method, apart, angular_correlation(*pair))

    def combat_errors(self) -> Iterator[HeldOutResult]:
        """ComBat, which knows FA and MD only: voxel by voxel in a template, and the mean of each tissue."""
        measured = self.measured.to_dict()
        for quantity, values in self.combat_values.items():
            for tissue, inside in tissue_masks(self.matched.tissue):
                wanted, got = measured[quantity][inside], values[inside]
                bias = float(got.mean() / wanted.mean()) - 1
                yield self._held_out_result(
                    "combat_voxel", tissue, quantity, nmse(wanted, got), bias
                )
        for tissue, quantity, bias in self._combat_mean_biases():
            yield self._held_out_result("combat_mean", tissue, quantity, bias**2, bias)

    def _rish_powers(
        self, method: str, quantities: Quantities, *, is_denoised: bool
    ) -> Iterator[RishPower]:
        place = (self.subject, self.job.number, method)
        return rish_powers(
            place, self.matched, quantities, self.job.shells, is_denoised=is_denoised
        )

    def _held_out_result(
        self, method: str, tissue: str, quantity: str, error: float, bias: float
    ) -> HeldOutResult:
        return HeldOutResult(self.subject, self.job.number, method, tissue, quantity, error, bias)

    def unharmonized_quantities(self) -> Quantities:
        """The source's own FA and MD; its signal in the target's directions, fitted without smoothing."""
        looks = quantities_from_coefficients(
            self.travelling.unharmonized.source_coefficients, self.matched
        )
        fa, md = _source_fa_and_md(self.travelling).T
        return Quantities(looks.signal, TensorValues(fa, md, looks.tensor.direction))

    def _predict(self, method: Method) -> Float[np.ndarray, "p c"]:
        """The whole scan harmonized as a user gets it, then looked up at the target's voxels."""
        harmonizer = load_harmonizer(
            self.job.fitted_files[METHOD_SPECS[method].fitted_method], method, self.job.device
        )
        image = self.travelling.source
        if isinstance(harmonizer, TemplateMethods):
            predicted, self.combat_values = harmonizer.predict_with_combat(self.travelling)
        else:
            predicted = harmonizer.predict(image)
        return sample_image(
            unmask(predicted.astype(np.float32), image.mask), image.affine, self.matched.points
        )

    def _combat_mean_biases(self) -> Iterator[tuple[str, str, float]]:
        """The bias that is left of a tissue's mean."""
        training = [
            open_travelling_subject(self.job.prepared_folders[name], self.job.shells)
            for name in self.job.split.training
        ]
        means = np.stack(
            [_tissue_means(subject) for subject in training]
        )  # (subject, scanner, tissue, quantity)
        means = means[np.isfinite(means).all(axis=(1, 2, 3))]
        if len(means) < 2:  # from one subject nobody can tell a scanner's scale
            return
        own, wanted = _tissue_means(self.travelling)
        for column, quantity in enumerate(COMBAT_MAPS):
            effect = fit_mean_combat(means[:, 0, :, column], means[:, 1, :, column])
            found = effect.remove(own[None, :, column])[0] / wanted[:, column] - 1
            for tissue, bias in zip(TISSUE_CODES, found, strict=True):
                if np.isfinite(bias):
                    yield tissue, quantity, float(bias)


def _source_fa_and_md(subject: TravellingSubject) -> Float[np.ndarray, "v 2"]:
    """FA and MD of the source scan at the matched places."""
    return sample_image(
        subject.unharmonized.source_maps, subject.source.affine, subject.matched.points
    )


def _tissue_means(subject: TravellingSubject) -> Float[np.ndarray, "scanner tissue quantity"]:
    """Mean FA and MD over each tissue of what source and target measured; NaN where there is no such tissue."""
    groups = [subject.matched.tissue == tissue for tissue in TISSUE_CODES.values()]
    both = (_source_fa_and_md(subject), subject.unharmonized.target_maps)
    return np.array([[_column_means(values[group]) for group in groups] for values in both])


def _select_grey_and_white(subject: TravellingSubject) -> TravellingSubject:
    """Only what the proof is about, in memory: places that both scans measured, not the edge of the source's brain."""
    rows = np.isin(subject.matched.tissue, list(TISSUE_CODES.values()))
    rows &= has_signal_around(subject.source, subject.matched.points)
    matched = {
        name: getattr(subject.matched, name)[rows]
        for name in ("signal", "noise_variance", "points", "tissue")
    }
    unread = np.broadcast_to(np.float16(0), (int(rows.sum()), *subject.matched.patches.shape[1:]))
    few = replace(subject.matched, **matched, patches=unread)
    before = subject.unharmonized
    plain = replace(
        before,
        source_coefficients=before.source_coefficients[rows],
        target_maps=before.target_maps[rows],
    )
    return replace(subject, matched=few, unharmonized=plain)


def _column_means(values: Float[np.ndarray, "v q"]) -> Float[np.ndarray, " q"]:
    """The mean of each column, NaN of nothing."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
