"""Errors of predicted shells that the target measures and the source lacks.

They are predicted by a network of its own, with the same folds. Predicting extra shells therefore
changes neither the harmonization of the shared shells nor its evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.interpolation import has_signal_around, sample_image
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.evaluation.quantities import nmse, tissue_masks
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.described_tables import write_described_table
from bids_shresnet.outputs.model.folder import MISSING_SHELLS_TSV, Model
from bids_shresnet.outputs.model.validation import MissingShellError
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.settings import Method
from bids_shresnet.training.folds import FoldJob, open_fold_subject

BVALUE_TOLERANCE = 0.05  # relative difference of a volume's b-value from that of its shell


@dataclass(frozen=True)
class MissingShellResult(HeldOutRow):
    """NMSE of the signal of one predicted shell in one tissue of a held-out subject."""

    method: Method
    bvalue: float
    tissue: str
    nmse: float


def evaluate_missing_shells(job: FoldJob) -> tuple[MissingShellResult, ...]:
    """Evaluate the predicted shells of a fold on its held-out subjects."""
    harmonizer = load_harmonizer(job.file, job.method, job.device)
    results: list[MissingShellResult] = []
    for label in job.split.test:
        subject = open_fold_subject(job, label)
        signal = _predict_signal(harmonizer, subject)
        results += _subject_results(job, label, subject, signal)
    return tuple(results)


def write_missing_shells(
    model: Model, results: Sequence[MissingShellResult]
) -> tuple[MissingShellError, ...]:
    """Write all results into the model's folder and return their means over subjects."""
    write_described_table(model.folder / MISSING_SHELLS_TSV, [asdict(result) for result in results])
    groups = groupby(sorted(results, key=_endpoint), _endpoint)
    return tuple(_mean_error(list(group)) for _, group in groups)


def _predict_signal(harmonizer: Harmonizer, subject: TravellingSubject) -> Float[np.ndarray, "v d"]:
    """Predict the whole scan and sample it at the target's voxels and directions."""
    source = subject.source
    matched = subject.matched
    image = unmask(harmonizer.predict(source).astype(np.float32), source.mask)
    coefficients = sample_image(image, source.affine, matched.points)
    return np.asarray(np.clip(coefficients @ matched.sh_matrix.T, 0, 1))


def _subject_results(
    job: FoldJob, label: str, subject: TravellingSubject, signal: Float[np.ndarray, "v d"]
) -> Iterator[MissingShellResult]:
    """Yield one result per missing shell and tissue, without the edge of the source's brain."""
    matched = subject.matched
    measured = np.asarray(matched.signal, dtype=np.float32)
    tissue = np.where(has_signal_around(subject.source, matched.points), matched.tissue, 0)
    for shell in job.missing_shells:
        volumes = np.isclose(matched.bvals, shell.bvalue, rtol=BVALUE_TOLERANCE)
        for name, mask in tissue_masks(tissue):
            cells = np.ix_(mask, volumes)
            yield MissingShellResult(
                subject=label,
                fold=job.number,
                method=job.method,
                bvalue=shell.bvalue,
                tissue=name,
                nmse=nmse(measured[cells], signal[cells]),
            )


def _endpoint(result: MissingShellResult) -> tuple[float, str, str]:
    return result.bvalue, result.method, result.tissue


def _mean_error(results: Sequence[MissingShellResult]) -> MissingShellError:
    """Mean error of one method in one shell and tissue."""
    mean = float(np.mean([result.nmse for result in results]))
    return MissingShellError(
        bvalue=results[0].bvalue,
        method=results[0].method,
        tissue=results[0].tissue,
        nmse=float(f"{mean:.4g}"),
    )
