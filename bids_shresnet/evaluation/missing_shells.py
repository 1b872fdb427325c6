"""Missing shells: what the target measures at b-values that the source lacks, predicted, and how well that goes.

A network of its own beside the one that harmonizes, fitted on the same folds: what becomes of the shells that both have
does not depend on whether others are predicted as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.sampling import sample, surrounded
from bids_shresnet.evaluation.comparison import by_tissue, nmse
from bids_shresnet.io.storage import write_tsv
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model_folder import MISSING_SHELLS, Model
from bids_shresnet.pairs import Matched, Travelling
from bids_shresnet.training.folds import FoldJob, lesson_of


@dataclass(frozen=True)
class MissingError:
    """NMSE of the signal of one predicted shell in one tissue of a held-out subject."""

    subject: str
    fold: int
    method: str
    bvalue: float
    tissue: str
    nmse: float


def evaluate_missing(job: FoldJob) -> tuple[MissingError, ...]:
    """Errors of a fold on its held-out subjects: every scan predicted whole, then looked up at the target's voxels."""
    harmonizer = load_harmonizer(job.file, job.method, job.device)
    errors: list[MissingError] = []
    for subject in job.split.test:
        travelling = lesson_of(job, subject)
        predicted = in_mask(harmonizer.predict(travelling.source).astype(np.float32), travelling.source.mask)
        found = sample(predicted, travelling.source.affine, travelling.matched.points)
        errors += _errors(job, subject, travelling, found)
    return tuple(errors)


def write_missing(model: Model, errors: Sequence[MissingError]) -> tuple[Mapping[str, Any], ...]:
    """Write every error into the model's folder and return their means, as the proof repeats them."""
    write_tsv(model.folder / MISSING_SHELLS, [asdict(error) for error in errors])

    def place(error: MissingError) -> tuple[float, str, str]:
        return error.bvalue, error.method, error.tissue

    means = []
    for (bvalue, method, tissue), group in groupby(sorted(errors, key=place), place):
        mean = float(np.mean([error.nmse for error in group]))
        means.append({"BValue": bvalue, "Method": method, "Tissue": tissue, "NMSE": float(f"{mean:.4g}")})
    return tuple(means)


def _errors(
    job: FoldJob, subject: str, travelling: Travelling, coefficients: Float[np.ndarray, "v c"]
) -> list[MissingError]:
    matched: Matched = travelling.matched
    signal = np.clip(coefficients @ matched.matrix.T, 0, 1)
    measured = np.asarray(matched.signal, dtype=np.float32)
    tissue = np.where(surrounded(travelling.source, matched.points), matched.tissue, 0)
    errors = []
    for shell in job.missing:
        volumes = np.isclose(matched.bvals, shell.bvalue, rtol=0.05)
        for name, inside in by_tissue(tissue):
            places = np.ix_(inside, volumes)
            error = nmse(measured[places], signal[places])
            errors.append(MissingError(subject, job.number, job.method, shell.bvalue, name, error))
    return errors
