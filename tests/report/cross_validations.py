"""Cross-validations of a constant model, for tests of reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from bids_shresnet.evaluation.cross_validation import CrossValidation
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult, Orientation
from bids_shresnet.outputs.model.validation import Coverage, Uncertainty
from tests.datasets import write_tree
from tests.held_out import agreements, histograms, powers
from tests.models import constant_model

CALIBRATION = Uncertainty(
    (
        Coverage(
            "WM",
            "signal",
            4,
            1.1,
            coverage_factor_95=1.96,
            within_68=0.7,
            within_95=0.94,
            rank_correlation=0.6,
        ),
    ),
)

MEAN_ERRORS = {"no_harmonization": 0.5, "denoised": 0.4, "order_gain": 0.3, "shresnet": 0.1}
MEAN_ANGLES = {"no_harmonization": 20.0, "shresnet": 10.0}  # degrees


def held_out_results(
    errors: Mapping[str, float], count: int, *, worse: int = 0
) -> tuple[HeldOutResult, ...]:
    """Rows of `count` subjects with about these errors by method; for the first `worse`, 1 - error.

    Errors differ between subjects, because ties among differences take seconds.
    """
    return tuple(
        HeldOutResult(
            subject=f"{k:02d}",
            fold=k % 3 + 1,
            method=method,
            tissue=tissue,
            quantity=quantity,
            places="all",
            nmse=(1 + k / 100) * (1 - error if k < worse else error),
            bias=error / 2,
            mean=(1 + error / 2) * (1 + k / 100),
            target_mean=1 + k / 100,
        )
        for (method, error), tissue, quantity, k in product(
            errors.items(), TISSUES, QUANTITIES, range(count)
        )
    )


def cross_validation(
    folder: Path, count: int, *, worse: int = 0, **changes: Any
) -> CrossValidation:
    """A model with a fifth of the error of no harmonization; `changes` are those of its card."""
    model = constant_model(folder / "model", write_tree(folder / "bids", {}), **changes)
    return CrossValidation(
        model=model,
        method="shresnet",
        rows=held_out_results(MEAN_ERRORS, count, worse=worse),
        orientations=_orientations(count),
    )


def with_agreement(cross_validation: CrossValidation) -> CrossValidation:
    """Add the agreement with the target's measurement."""
    subjects = sorted({row.subject for row in cross_validation.rows})
    return replace(
        cross_validation,
        agreements=tuple(agreements(subjects)),
        powers=tuple(powers(subjects)),
        histograms=histograms(subjects),
    )


def _orientations(count: int) -> tuple[Orientation, ...]:
    return tuple(
        Orientation(subject=f"{k:02d}", fold=k % 3 + 1, method=method, angle=angle, correlation=0.5)
        for (method, angle), k in product(MEAN_ANGLES.items(), range(count))
    )
