"""Evaluate all methods of one fold on its held-out subjects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, TypeVar

from bids_shresnet.evaluation.agreement import Agreement
from bids_shresnet.evaluation.coverage import CoverageRow
from bids_shresnet.evaluation.effects.recovery import measure_effects
from bids_shresnet.evaluation.effects.rows import EffectRow
from bids_shresnet.evaluation.group_means.regional_means import RegionalMean
from bids_shresnet.evaluation.held_out_slices import HeldOutSlices, read_slices, write_slices
from bids_shresnet.evaluation.histograms import (
    Histograms,
    concatenate_histograms,
    read_histograms,
    write_histograms,
)
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.evaluation.noise_floor import noise_floor_errors
from bids_shresnet.evaluation.predictions import (
    MethodPrediction,
    predict_all_methods,
    unharmonized_quantities,
)
from bids_shresnet.evaluation.results import SCAN_RESCAN, HeldOutResult, Orientation
from bids_shresnet.evaluation.rish_power import RishPower
from bids_shresnet.evaluation.subject_evaluation import SubjectEvaluation, open_evaluation
from bids_shresnet.io.storage import read_json, write_json
from bids_shresnet.settings import NO_HARMONIZATION
from bids_shresnet.training.match_scans import RepresentedScan

Row = TypeVar("Row")


@dataclass(frozen=True)
class EvaluationResults:
    """Results on held-out subjects.

    Attributes
    ----------
    rows, regions, orientations
        Those of all methods.
    agreements, powers, histograms, slices
        Those of no harmonization and of the applied method only.
    effects, coverages
        Those of the applied method only.
    """

    rows: tuple[HeldOutResult, ...]
    regions: tuple[RegionalMean, ...]
    orientations: tuple[Orientation, ...]
    agreements: tuple[Agreement, ...]
    powers: tuple[RishPower, ...]
    histograms: Histograms
    slices: tuple[HeldOutSlices, ...] = ()
    effects: tuple[EffectRow, ...] = ()
    coverages: tuple[CoverageRow, ...] = ()


RESULT_TABLES = {  # fields of `EvaluationResults` that are tables, and the type of their rows
    "rows": HeldOutResult,
    "regions": RegionalMean,
    "orientations": Orientation,
    "agreements": Agreement,
    "powers": RishPower,
    "effects": EffectRow,
    "coverages": CoverageRow,
}


def evaluate_fold(job: EvaluateJob) -> bool:
    """Evaluate every method on the fold's held-out subjects; return False if that is up to date."""
    if job.file.exists() and read_json(job.file)["inputs"] == job.digest:
        return False
    results = join_results([evaluate_subject(job, label) for label in job.split.test])
    write_histograms(job.histograms_file, results.histograms)
    write_slices(job.slices_file, results.slices)
    tables = {name: list(map(asdict, getattr(results, name))) for name in RESULT_TABLES}
    write_json(job.file, {"inputs": job.digest, **tables})
    return True


def evaluate_subject(job: EvaluateJob, label: str) -> EvaluationResults:
    """Evaluate every method on one held-out subject."""
    evaluation = open_evaluation(job, label, job.prepared_folders[label])
    scan = RepresentedScan.load(job.sources[label], job.shells)
    predictions = list(predict_all_methods(job, evaluation.subject, scan))
    scored = [(evaluation, prediction) for prediction in predictions]
    if label in job.repeat_folders:
        scored.insert(1, _predict_second_scan(job, label))
    errors = [item.errors(prediction) for item, prediction in scored]
    combat_errors = [evaluation.combat_voxel_errors(prediction) for prediction in predictions]
    errors.insert(1, noise_floor_errors(evaluation, predictions))
    orientations = [item.orientations(prediction) for item, prediction in scored]
    applied_methods = (NO_HARMONIZATION, job.applied_method)
    applied = [prediction for prediction in predictions if prediction.method in applied_methods]
    return EvaluationResults(
        rows=(*_flatten(errors), *_flatten(combat_errors), *evaluation.combat_mean_errors()),
        regions=_flatten(item.regional_means(prediction) for item, prediction in scored),
        orientations=_flatten(orientations),
        agreements=_flatten(evaluation.agreements(prediction) for prediction in applied),
        powers=tuple(evaluation.powers(applied)),
        histograms=evaluation.histograms(applied),
        slices=(evaluation.slices(applied),),
        effects=tuple(measure_effects(job, label, evaluation.matched, scan)),
        coverages=_flatten(evaluation.coverages(prediction) for prediction in predictions),
    )


def read_results(jobs: Sequence[EvaluateJob]) -> EvaluationResults:
    """Read the results of all folds."""
    return join_results([_read_fold(job) for job in jobs])


def join_results(results: Sequence[EvaluationResults]) -> EvaluationResults:
    """Join the results of several subjects or folds."""
    return EvaluationResults(
        rows=_flatten(item.rows for item in results),
        regions=_flatten(item.regions for item in results),
        orientations=_flatten(item.orientations for item in results),
        agreements=_flatten(item.agreements for item in results),
        powers=_flatten(item.powers for item in results),
        histograms=concatenate_histograms([item.histograms for item in results]),
        slices=_flatten(item.slices for item in results),
        effects=_flatten(item.effects for item in results),
        coverages=_flatten(item.coverages for item in results),
    )


def _read_fold(job: EvaluateJob) -> EvaluationResults:
    record: Any = read_json(job.file)
    tables: dict[str, Any] = {}
    for name, row_type in RESULT_TABLES.items():
        tables[name] = tuple(row_type(**row) for row in record[name])
    return EvaluationResults(
        **tables,
        histograms=read_histograms(job.histograms_file),
        slices=read_slices(job.slices_file),
    )


def _flatten(parts: Iterable[Iterable[Row]]) -> tuple[Row, ...]:
    return tuple(chain.from_iterable(parts))


def _predict_second_scan(
    job: EvaluateJob, label: str
) -> tuple[SubjectEvaluation, MethodPrediction]:
    """Take the target's second scan as a prediction of its first, where the two were matched."""
    evaluation = open_evaluation(job, label, job.repeat_folders[label])
    prediction = MethodPrediction(SCAN_RESCAN, unharmonized_quantities(evaluation.subject))
    return evaluation, prediction
