"""Evaluate: the methods of one fold on the subjects that it never saw -> errors, biases and angles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from bids_shresnet.config import Config
from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.sampling import sample, surrounded
from bids_shresnet.diffusion.tensors import TensorValues, relative_tensor
from bids_shresnet.evaluation.agreement import (
    MEASURED,
    Agreement,
    Histograms,
    Power,
    agreements,
    joint_histograms,
    powers,
    together,
)
from bids_shresnet.evaluation.comparison import (
    FEWEST_VOXELS,
    ORIENTED,
    TISSUES,
    Looks,
    angle,
    angular_correlation,
    as_measured,
    by_tissue,
    look,
    nmse,
)
from bids_shresnet.evaluation.evidence import read_histograms, write_histograms
from bids_shresnet.evaluation.statistics import RESCAN, HeldOut
from bids_shresnet.harmonization.predict import method_for
from bids_shresnet.io.arrays import RECORD
from bids_shresnet.io.storage import digest, read_json, sha256, write_json
from bids_shresnet.methods.combat import fit_means
from bids_shresnet.methods.registry import RECIPES, load_harmonizer
from bids_shresnet.methods.template_methods import MAPS, InTemplate
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import Split, Travelling
from bids_shresnet.scans import Shell, Tissue
from bids_shresnet.settings import NOTHING, Method
from bids_shresnet.training.splits import PreparedSubject
from bids_shresnet.training.travelling import open_travelling
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


@runtime_checkable
class FittedFold(Protocol):
    """A baseline that was fitted on one fold."""

    @property
    def method(self) -> Method:
        """Which."""

    @property
    def number(self) -> int:
        """Of the fold."""

    @property
    def file(self) -> Path:
        """Where it is."""


@dataclass(frozen=True)
class EvaluateJob:
    """One fold.

    Attributes
    ----------
    prepared
        Folder with the arrays of each subject.
    repeats
        The same for pairs of the target scanner's scans, where subjects were scanned twice.
    applied
        Of the methods the one that harmonizes scans, of which the likeness is kept as well.
    fitted
        File of every method that has a fit of its own.
    file
        Where the results go.
    """

    number: int
    split: Split
    prepared: Mapping[str, Path]
    repeats: Mapping[str, Path]
    shells: tuple[Shell, ...]
    methods: tuple[Method, ...]
    applied: Method
    fitted: Mapping[Method, Path]
    file: Path
    seed: int
    device: str

    @property
    def histograms(self) -> Path:
        """Joint histograms, beside the results."""
        return self.file.with_suffix(".safetensors")

    @property
    def digest(self) -> str:
        """Of all that the results depend on."""
        files = {name: sha256(path) for name, path in self.fitted.items()}
        subjects = [sha256(self.prepared[name] / RECORD) for name in (*self.split.training, *self.split.test)]
        repeats = {name: sha256(self.repeats[name] / RECORD) for name in self.split.test if name in self.repeats}
        methods = [list(self.methods), self.applied]
        return digest([__version__, asdict(self.split), methods, files, subjects, repeats, self.seed])


@dataclass(frozen=True)
class Results:
    """What was found on held-out subjects; the last three of doing nothing and of the applied method."""

    rows: tuple[HeldOut, ...]
    orientations: tuple[Orientation, ...]
    agreements: tuple[Agreement, ...]
    powers: tuple[Power, ...]
    histograms: Histograms


TABLES = {"rows": HeldOut, "orientations": Orientation, "agreements": Agreement, "powers": Power}


def evaluate_jobs(
    work: Path,
    prepared: Sequence[PreparedSubject],
    repeats: Sequence[PreparedSubject],
    model: Model,
    baselines: Sequence[FittedFold],
    config: Config,
) -> tuple[EvaluateJob, ...]:
    """One job a fold of the model."""
    folders, again = ({item.source.subject: item.folder for item in items} for items in (prepared, repeats))
    own: Method = model.card["FittedAs"]
    applied = method_for(model, config.method)
    methods = tuple(dict.fromkeys((*config.methods, applied)))
    jobs = []
    for number, fold in enumerate(model.card["Folds"], 1):
        fitted = {job.method: job.file for job in baselines if job.number == number} | {
            own: model.folder / fold["File"]
        }
        file = work / f"evaluation-{number:02d}.json"
        settings = (model.source_shells, methods, applied, fitted, file, config.random_seed, config.device)
        jobs.append(EvaluateJob(number, model.splits[number - 1], folders, again, *settings))
    return tuple(jobs)


def evaluate(job: EvaluateJob) -> bool:
    """Try every method on the fold's held-out subjects; False if that was done before."""
    if job.file.exists() and read_json(job.file)["inputs"] == job.digest:
        return False
    found = [_tried(job, subject) for subject in job.split.test]
    write_histograms(job.histograms, together([one.histograms for one in found]))
    record = {name: [asdict(row) for one in found for row in getattr(one, name)] for name in TABLES}
    write_json(job.file, {"inputs": job.digest, **record})
    return True


def read_results(jobs: Sequence[EvaluateJob]) -> Results:
    """The results of all folds."""
    records: list[Any] = [read_json(job.file) for job in jobs]
    tables = {name: tuple(kind(**row) for record in records for row in record[name]) for name, kind in TABLES.items()}
    return Results(**tables, histograms=together([read_histograms(job.histograms) for job in jobs]))


def _tried(job: EvaluateJob, subject: str) -> Results:
    """Every method on one held-out subject."""
    trial = Trial(job, subject, _grey_and_white(open_travelling(job.prepared[subject], job.shells)))
    trials = [(trial, method, looks) for method, looks in trial.candidates()]
    likeness = trial.likeness({method: looks for _, method, looks in trials if method in (NOTHING, job.applied)})
    if subject in job.repeats:  # judged where the target's two scans were matched
        again = Trial(job, subject, _grey_and_white(open_travelling(job.repeats[subject], job.shells)))
        trials.insert(1, (again, RESCAN, again.untouched()))  # after doing nothing
    rows = [row for one, method, looks in trials for row in one.errors(method, looks)]
    orientations = [item for one, method, looks in trials for item in one.orientation(method, looks)]
    return Results((*rows, *trial.scalar_errors()), tuple(orientations), *likeness)


class Trial:
    """All methods on one held-out subject."""

    def __init__(self, job: EvaluateJob, subject: str, travelling: Travelling) -> None:
        self.job, self.subject, self.travelling = job, subject, travelling
        self.matched = travelling.matched
        measured = np.asarray(self.matched.signal, dtype=np.float32)
        self.measured = Looks(measured, relative_tensor(measured, self.matched.bvals, self.matched.bvecs))
        self.combat: dict[str, Float[np.ndarray, " p"]] = {}

    def candidates(self) -> Iterator[tuple[str, Looks]]:
        """Doing nothing, then every method: its name, and how its prediction looks where the target measured."""
        yield NOTHING, self.untouched()
        for method in self.job.methods:
            looks = look(self._predicted(method), self.matched)
            denoised = RECIPES[method].denoises
            yield method, as_measured(looks, self.matched, seed=self.job.seed) if denoised else looks

    def errors(self, method: str, looks: Looks) -> Iterator[HeldOut]:
        """Error and bias of every tissue and quantity."""
        for tissue, inside in by_tissue(self.matched.tissue):
            for quantity, measured in self.measured.quantities().items():
                error = nmse(measured[inside], looks.quantities()[quantity][inside])
                mean = looks.quantities()[quantity][inside].mean() / measured[inside].mean()
                yield self._row(method, tissue, quantity, error, float(mean) - 1)

    def likeness(self, states: Mapping[str, Looks]) -> tuple[tuple[Agreement, ...], tuple[Power, ...], Histograms]:
        """How the scan before and after lies to what was measured: rows, power by order, and joint histograms."""
        rows: list[Agreement] = []
        power = [*self._powers(MEASURED, self.measured, denoised=False)]
        counts = []
        for method, looks in states.items():
            rows += agreements((self.subject, self.job.number, method), self.matched, self.measured, looks)
            denoised = method != NOTHING and RECIPES[self.job.applied].denoises
            power += self._powers(method, looks, denoised=denoised)
            counts.append(joint_histograms(self.matched, self.measured, looks))
        return tuple(rows), tuple(power), Histograms(np.stack(counts)[None], (self.subject,))

    def orientation(self, method: str, looks: Looks) -> Iterator[Orientation]:
        """Directions, in white matter of one main direction; nothing where there is next to none."""
        where = (self.matched.tissue == Tissue.WM) & (self.measured.tensor.fa > ORIENTED)
        if where.sum() < FEWEST_VOXELS:
            return
        apart = angle(self.measured.tensor.direction[where], looks.tensor.direction[where])
        inverse = np.linalg.pinv(self.matched.matrix.astype(np.float64)).T.astype(np.float32)
        keep = np.concatenate([np.arange(shell.coefficients) > 0 for shell in self.job.shells])
        pair = [(part[where] @ inverse)[:, keep] for part in (looks.signal, self.measured.signal)]
        yield Orientation(self.subject, self.job.number, method, apart, angular_correlation(*pair))

    def scalar_errors(self) -> Iterator[HeldOut]:
        """ComBat, which knows FA and MD only: voxel by voxel in a template, and the mean of each tissue."""
        measured = self.measured.quantities()
        for quantity, values in self.combat.items():
            for tissue, inside in by_tissue(self.matched.tissue):
                wanted, got = measured[quantity][inside], values[inside]
                bias = float(got.mean() / wanted.mean()) - 1
                yield self._row("combat_voxel", tissue, quantity, nmse(wanted, got), bias)
        for tissue, quantity, bias in self._combat_of_means():
            yield self._row("combat_mean", tissue, quantity, bias**2, bias)

    def _powers(self, method: str, looks: Looks, *, denoised: bool) -> Iterator[Power]:
        place = (self.subject, self.job.number, method)
        return powers(place, self.matched, looks, self.job.shells, denoised=denoised)

    def _row(self, method: str, tissue: str, quantity: str, error: float, bias: float) -> HeldOut:
        return HeldOut(self.subject, self.job.number, method, tissue, quantity, error, bias)

    def untouched(self) -> Looks:
        """The source's own FA and MD; its signal in the target's directions, fitted without smoothing."""
        looks = look(self.travelling.unharmonized.coefficients, self.matched)
        fa, md = _source_values(self.travelling).T
        return Looks(looks.signal, TensorValues(fa, md, looks.tensor.direction))

    def _predicted(self, method: Method) -> Float[np.ndarray, "p c"]:
        """The whole scan harmonized as a user gets it, then looked up at the target's voxels."""
        harmonizer = load_harmonizer(self.job.fitted[RECIPES[method].fitted_as], method, self.job.device)
        image = self.travelling.source
        if isinstance(harmonizer, InTemplate):
            predicted, self.combat = harmonizer.predict_both(self.travelling)
        else:
            predicted = harmonizer.predict(image)
        return sample(in_mask(predicted.astype(np.float32), image.mask), image.affine, self.matched.points)

    def _combat_of_means(self) -> Iterator[tuple[str, str, float]]:
        """The bias that is left of a tissue's mean."""
        training = [open_travelling(self.job.prepared[name], self.job.shells) for name in self.job.split.training]
        means = np.stack([_tissue_means(subject) for subject in training])  # (subject, scanner, tissue, quantity)
        means = means[np.isfinite(means).all(axis=(1, 2, 3))]
        if len(means) < 2:  # from one subject nobody can tell a scanner's scale
            return
        own, wanted = _tissue_means(self.travelling)
        for column, quantity in enumerate(MAPS):
            effect = fit_means(means[:, 0, :, column], means[:, 1, :, column])
            found = effect.remove(own[None, :, column])[0] / wanted[:, column] - 1
            for tissue, bias in zip(TISSUES, found, strict=True):
                if np.isfinite(bias):
                    yield tissue, quantity, float(bias)


def _source_values(subject: Travelling) -> Float[np.ndarray, "v 2"]:
    """FA and MD of the source scan at the matched places."""
    return sample(subject.unharmonized.maps, subject.source.affine, subject.matched.points)


def _tissue_means(subject: Travelling) -> Float[np.ndarray, "scanner tissue quantity"]:
    """Mean FA and MD over each tissue of what source and target measured; NaN where there is no such tissue."""
    groups = [subject.matched.tissue == tissue for tissue in TISSUES.values()]
    both = (_source_values(subject), subject.unharmonized.target)
    return np.array([[_mean(values[group]) for group in groups] for values in both])


def _grey_and_white(subject: Travelling) -> Travelling:
    """Only what the proof is about, in memory: places that both scans measured, not the edge of the source's brain."""
    rows = np.isin(subject.matched.tissue, list(TISSUES.values()))
    rows &= surrounded(subject.source, subject.matched.points)
    matched = {name: getattr(subject.matched, name)[rows] for name in ("signal", "noise", "points", "tissue")}
    unread = np.broadcast_to(np.float16(0), (int(rows.sum()), *subject.matched.patches.shape[1:]))
    few = replace(subject.matched, **matched, patches=unread)
    before = subject.unharmonized
    plain = replace(before, coefficients=before.coefficients[rows], target=before.target[rows])
    return replace(subject, matched=few, unharmonized=plain)


def _mean(values: Float[np.ndarray, "v q"]) -> Float[np.ndarray, " q"]:
    """The mean of each column, NaN of nothing."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
