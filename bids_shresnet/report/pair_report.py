"""From a cross-validation to the figures, notes and tables of its pair on the group page."""

from __future__ import annotations

import numpy as np

from bids_shresnet.evaluation.comparison import compare_methods
from bids_shresnet.evaluation.cross_validation import CrossValidation, summarize_validation
from bids_shresnet.evaluation.group_means.excess_error import summarize_excess
from bids_shresnet.evaluation.results import MAP_QUANTITIES, QUANTITIES
from bids_shresnet.outputs.model.folder import RESBLOCKS_TSV, TRAINING_TSV, Model
from bids_shresnet.report.figure_store import Figures
from bids_shresnet.report.figures.agreement import draw_differences, draw_joint_histograms
from bids_shresnet.report.figures.agreement_data import group_agreement
from bids_shresnet.report.figures.errors import draw_biases, draw_errors
from bids_shresnet.report.figures.pairing import draw_splits
from bids_shresnet.report.figures.power import draw_group_power
from bids_shresnet.report.figures.resblocks import draw_sweep, read_sweep, sweep_table
from bids_shresnet.report.figures.training import TrainingCurve, draw_training_curves, read_curves
from bids_shresnet.report.figures.uncertainty import draw_coverage
from bids_shresnet.report.group_content import PairReport
from bids_shresnet.report.pictures.held_out_head import choose_typical_subject, draw_held_out_head
from bids_shresnet.report.registration_notes import registration_notes
from bids_shresnet.report.style import Drawing, endpoint_title
from bids_shresnet.settings import NO_HARMONIZATION

NO_HISTOGRAMS_NOTE = (
    "This model was validated without storing histograms: joint histograms, Bland-Altman plots and "
    "the power by order are missing. To create them, run group --retrain."
)
NO_UNCERTAINTY_NOTE = (
    "The method does not predict how far the target's values may be from the harmonized ones, or "
    "the noise of the target's scans is unknown."
)
NO_CURVES_NOTE = "The method is fitted in closed form, so there are no epochs to draw."


def draw_figures(cross_validation: CrossValidation) -> Figures:
    """Draw all figures of a pair but the one that links to reports on subjects."""
    model = cross_validation.model
    curves = _read_model_curves(model)
    sweep = read_sweep(model.folder / RESBLOCKS_TSV)
    return {
        "inputs": [draw_splits(model.splits)],
        "head": _head_figures(cross_validation),
        "before-after": _agreement_figures(cross_validation),
        "metrics": [
            *_error_figures(cross_validation),
            draw_biases(cross_validation.biases),
            *([draw_sweep(sweep)] if sweep else []),
        ],
        "uncertainty": _uncertainty_figures(cross_validation),
        "training": [draw_training_curves(curves)] if curves else [],
    }


def build_pair_report(
    cross_validation: CrossValidation, figures: Figures, subject_errors: Drawing
) -> PairReport:
    """Build what the page shows of a pair.

    Parameters
    ----------
    figures
        Those of `draw_figures`.
    subject_errors
        The figure of errors by subject.
    """
    model = cross_validation.model
    validation = summarize_validation(cross_validation)
    rows = cross_validation.rows
    metrics = figures["metrics"]
    place = len(QUANTITIES)  # after the errors by method
    return PairReport(
        name=model.name,
        source=model.source,
        target=model.target,
        comparisons=cross_validation.comparisons,
        biases=cross_validation.biases,
        rows=rows,
        answers={baseline: item.answer for baseline, item in validation.better_than.items()},
        figures={
            **figures,
            "metrics": [*metrics[:place], subject_errors, *metrics[place:]],
        },
        notes={
            "inputs": registration_notes(model.folder),
            "before-after": _agreement_notes(cross_validation),
            "uncertainty": [_uncertainty_note(cross_validation)],
            "training": [] if figures["training"] else [NO_CURVES_NOTE],
        },
        agreements=cross_validation.agreements,
        equivalences=cross_validation.equivalences,
        preservations=cross_validation.preservations,
        regional_equivalences=cross_validation.regional_equivalences,
        excess_errors=summarize_excess(rows, cross_validation.method),
        splits=model.splits,
        sweep=sweep_table(read_sweep(model.folder / RESBLOCKS_TSV)),
        missing_shell_errors=cross_validation.missing_shell_errors,
        recoveries=cross_validation.recoveries,
        method=cross_validation.method,
    )


def _head_figures(cross_validation: CrossValidation) -> list[Drawing]:
    """FA and MD of one held-out subject."""
    subject = choose_typical_subject(cross_validation.rows, cross_validation.method)
    heads = [item for item in cross_validation.slices if item.subject == subject]
    return [draw_held_out_head(head, quantity) for head in heads for quantity in MAP_QUANTITIES]


def _agreement_figures(cross_validation: CrossValidation) -> list[Drawing]:
    """Source against target before and after harmonization, and the power of each order."""
    if cross_validation.histograms is None:
        return []
    drawings = []
    for quantity in QUANTITIES:
        data = group_agreement(cross_validation.histograms, cross_validation.agreements, quantity)
        drawings += [draw_joint_histograms(data), draw_differences(data)]
    return [*drawings, draw_group_power(cross_validation.powers, cross_validation.method)]


def _error_figures(cross_validation: CrossValidation) -> list[Drawing]:
    """Errors by method."""
    rows = cross_validation.rows
    comparisons = [*cross_validation.comparisons]
    for baseline in cross_validation.baselines:
        if baseline != NO_HARMONIZATION:
            comparisons += compare_methods(rows, baseline, [NO_HARMONIZATION])
    return [draw_errors(rows, comparisons, quantity) for quantity in QUANTITIES]


def _uncertainty_figures(cross_validation: CrossValidation) -> list[Drawing]:
    uncertainty = cross_validation.uncertainty
    return [draw_coverage(uncertainty)] if uncertainty else []


def _read_model_curves(model: Model) -> tuple[TrainingCurve, ...]:
    best_epochs = [fold.best_epoch for fold in model.card.folds]
    return read_curves(model.folder / TRAINING_TSV, best_epochs)


def _agreement_notes(cross_validation: CrossValidation) -> list[str]:
    notes = [] if cross_validation.histograms else [NO_HISTOGRAMS_NOTE]
    if cross_validation.orientations:
        notes.append(_orientation_note(cross_validation))
    return notes


def _orientation_note(cross_validation: CrossValidation) -> str:
    """State how far directions differ from the target's before and after harmonization."""
    input_angle, input_correlation = _mean_orientation(cross_validation, NO_HARMONIZATION)
    angle, correlation = _mean_orientation(cross_validation, cross_validation.method)
    return (
        "In white matter with one main direction, the principal direction differs from the "
        f"target's by {input_angle:.2f} degrees in the input and by {angle:.2f} degrees after "
        f"harmonization; the angular correlation of the signal is {input_correlation:.3f} and "
        f"{correlation:.3f}."
    )


def _mean_orientation(cross_validation: CrossValidation, method: str) -> tuple[float, float]:
    """Mean angle (degrees) and angular correlation of a method."""
    rows = [row for row in cross_validation.orientations if row.method == method]
    angle = np.mean([row.angle for row in rows])
    correlation = np.mean([row.correlation for row in rows])
    return float(angle), float(correlation)


def _uncertainty_note(cross_validation: CrossValidation) -> str:
    """State by how much the predicted uncertainty was scaled."""
    uncertainty = cross_validation.uncertainty
    if uncertainty is None:
        return NO_UNCERTAINTY_NOTE
    factors = [
        f"{item.factor:.2f} and {item.coverage_factor_95:.2f} "
        f"({endpoint_title(item.quantity, item.tissue)})"
        for item in uncertainty.coverages
    ]
    return (
        "Predicted standard deviations are multiplied by a factor in the uncertainty maps, so that "
        "68 % of the measurements of held-out subjects lie within one; 95 % lie within a multiple "
        f"of the map. Factor and multiple: {', '.join(factors)}."
    )
