"""Missing shells: what the target measures at b-values that the source lacks, predicted, and how well that goes.

A network of its own beside the one that harmonizes, fitted on the same folds: what becomes of the shells that both have
does not depend on whether others are predicted as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.interpolation import has_signal_around, sample_image
from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.evaluation.quantities import nmse, tissue_masks
from bids_shresnet.io.storage import write_tsv
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model_card import MissingShellError
from bids_shresnet.outputs.model_folder import MISSING_SHELLS_TSV, Model
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject
from bids_shresnet.settings import Method
from bids_shresnet.training.folds import FoldJob, open_fold_subject


@dataclass(frozen=True)
class MissingShellResult:
    """NMSE of the signal of one predicted shell in one tissue of a held-out subject."""

    subject: str
    fold: int
    method: Method
    bvalue: float
    tissue: str
    nmse: float


def evaluate_missing_shells(job: FoldJob) -> tuple[MissingShellResult, ...]:
    """Errors of a fold on its held-out subjects: every scan predicted whole, then looked up at the target's voxels."""
    harmonizer = load_harmonizer(job.file, job.method, job.device)
    errors: list[MissingShellResult] = []
    for subject in job.split.test:
        travelling = open_fold_subject(job, subject)
        predicted = unmask(
            harmonizer.predict(travelling.source).astype(np.float32), travelling.source.mask
        )
        found = sample_image(predicted, travelling.source.affine, travelling.matched.points)
        errors += _subject_results(job, subject, travelling, found)
    return tuple(errors)


def write_missing_shells(
    model: Model, errors: Sequence[MissingShellResult]
) -> tuple[MissingShellError, ...]:
    """Write every error into the model's folder and return their means over subjects."""
    write_tsv(model.folder / MISSING_SHELLS_TSV, [asdict(error) for error in errors])

    groups = groupby(sorted(errors, key=_endpoint), _endpoint)
    return tuple(_mean_error(list(group)) for _, group in groups)


def _endpoint(error: MissingShellResult) -> tuple[float, str, str]:
    return error.bvalue, error.method, error.tissue


def _mean_error(errors: Sequence[MissingShellResult]) -> MissingShellError:
    """Mean error of one method in one shell and tissue."""
    mean = float(np.mean([error.nmse for error in errors]))
    return MissingShellError(
        bvalue=errors[0].bvalue,
        method=errors[0].method,
        tissue=errors[0].tissue,
        nmse=float(f"{mean:.4g}"),
    )


def _subject_results(
    job: FoldJob,
    subject: str,
    travelling: TravellingSubject,
    coefficients: Float[np.ndarray, "v c"],
) -> list[MissingShellResult]:
    matched: MatchedVoxels = travelling.matched
    signal = np.clip(coefficients @ matched.sh_matrix.T, 0, 1)
    measured = np.asarray(matched.signal, dtype=np.float32)
    tissue = np.where(has_signal_around(travelling.source, matched.points), matched.tissue, 0)
    errors = []
    for shell in job.missing_shells:
        volumes = np.isclose(matched.bvals, shell.bvalue, rtol=0.05)
        for name, inside in tissue_masks(tissue):
            places = np.ix_(inside, volumes)
            error = nmse(measured[places], signal[places])
            errors.append(
                MissingShellResult(subject, job.number, job.method, shell.bvalue, name, error)
            )
    return errors
