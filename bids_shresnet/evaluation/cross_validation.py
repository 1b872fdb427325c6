"""Cross-validation of a model: all results on held-out subjects, stored in the model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar, get_type_hints

from bids_shresnet.evaluation.agreement import Agreement
from bids_shresnet.evaluation.comparison import (
    Bias,
    Comparison,
    compare_methods,
    summarize_bias,
)
from bids_shresnet.evaluation.effects.rows import EffectRow, summarize_effects
from bids_shresnet.evaluation.group_means.equivalence import assess_equivalence
from bids_shresnet.evaluation.group_means.paired_means import (
    PairedMeans,
    pair_regional_means,
    pair_tissue_means,
)
from bids_shresnet.evaluation.group_means.preservation import assess_preservation
from bids_shresnet.evaluation.group_means.regional_means import RegionalMean
from bids_shresnet.evaluation.held_out_slices import HeldOutSlices, read_slices, write_slices
from bids_shresnet.evaluation.histograms import Histograms, read_histograms, write_histograms
from bids_shresnet.evaluation.results import REFERENCES, HeldOutResult, Orientation
from bids_shresnet.evaluation.rish_power import RishPower
from bids_shresnet.evaluation.validation import (
    CARD_BASELINES,
    ValidationResult,
    validate_against_all,
)
from bids_shresnet.io.storage import read_tsv
from bids_shresnet.outputs.described_tables import write_described_table
from bids_shresnet.outputs.model.folder import (
    AGREEMENT_TSV,
    EFFECTS_TSV,
    HELD_OUT_TSV,
    HISTOGRAMS_FILE,
    ORIENTATION_TSV,
    REGIONAL_TSV,
    RISH_POWER_TSV,
    SLICES_FILE,
    Model,
    write_card,
)
from bids_shresnet.outputs.model.validation import (
    BaselineAnswer,
    EffectRecovery,
    Equivalence,
    MissingShellError,
    Preservation,
    Uncertainty,
    Validation,
)
from bids_shresnet.settings import NO_HARMONIZATION, Method

Row = TypeVar("Row", HeldOutResult, Orientation, Agreement, RishPower, EffectRow, RegionalMean)


@dataclass(frozen=True)
class CrossValidation:
    """All results on the held-out subjects of one pair.

    Attributes
    ----------
    uncertainty
        Calibration of the uncertainty maps; None for methods without them.
    missing_shell_errors
        Mean errors of the shells that the source lacks, where these are predicted.
    agreements, powers, histograms
        Agreement of the scans before and after harmonization with the target's measurement; none
        in a model without stored histograms.
    slices
        Slices of FA and MD of the same scans.
    regional_means
        Means of regions; none without a parcellation of the target's scans.
    effects
        Known effects that were put into held-out scans; none where they were not looked for.
    """

    model: Model
    method: Method
    rows: tuple[HeldOutResult, ...]
    orientations: tuple[Orientation, ...]
    uncertainty: Uncertainty | None = None
    missing_shell_errors: tuple[MissingShellError, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    powers: tuple[RishPower, ...] = ()
    histograms: Histograms | None = None
    slices: tuple[HeldOutSlices, ...] = ()
    regional_means: tuple[RegionalMean, ...] = ()
    effects: tuple[EffectRow, ...] = ()

    @property
    def baselines(self) -> list[str]:
        """Methods that the applied one is compared with."""
        methods = dict.fromkeys(row.method for row in self.rows)
        return [method for method in methods if method not in (self.method, *REFERENCES)]

    @cached_property  # a bootstrap, used by tables, figures and the card
    def comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons of the applied method with each baseline."""
        return compare_methods(self.rows, self.method, self.baselines)

    @cached_property
    def biases(self) -> tuple[Bias, ...]:
        """Site bias of each method."""
        return summarize_bias(self.rows)

    @cached_property
    def recoveries(self) -> tuple[EffectRecovery, ...]:
        """How much of each effect is found again."""
        return summarize_effects(self.effects)

    @property
    def tissue_means(self) -> tuple[PairedMeans, ...]:
        """Means of FA and MD in tissues, without harmonization and with the applied method."""
        methods = (NO_HARMONIZATION, self.method)
        return pair_tissue_means(row for row in self.rows if row.method in methods)

    @property
    def equivalences(self) -> tuple[Equivalence, ...]:
        """Equivalence tests of the site bias of `tissue_means`."""
        return assess_equivalence(self.tissue_means)

    @property
    def regional_pairs(self) -> tuple[PairedMeans, ...]:
        """Means of regions, without harmonization and with the applied method."""
        methods = (NO_HARMONIZATION, self.method)
        return pair_regional_means(row for row in self.regional_means if row.method in methods)

    @property
    def regional_equivalences(self) -> tuple[Equivalence, ...]:
        """Equivalence tests of the site bias of `regional_pairs`."""
        return assess_equivalence(self.regional_pairs)

    @property
    def regional_preservations(self) -> tuple[Preservation, ...]:
        """Differences between subjects in `regional_pairs`."""
        return assess_preservation(self.regional_pairs)

    @property
    def preservations(self) -> tuple[Preservation, ...]:
        """Differences between subjects in `tissue_means`."""
        return assess_preservation(self.tissue_means)


def write_cross_validation(cross_validation: CrossValidation) -> Model:
    """Write tables and the validation into the model's folder; the card comes last."""
    folder = cross_validation.model.folder
    _write_rows(folder / HELD_OUT_TSV, cross_validation.rows)
    _write_rows(folder / ORIENTATION_TSV, cross_validation.orientations)
    if cross_validation.regional_means:
        _write_rows(folder / REGIONAL_TSV, cross_validation.regional_means)
    if cross_validation.effects:
        _write_rows(folder / EFFECTS_TSV, cross_validation.effects)
    if cross_validation.histograms is not None:
        _write_rows(folder / AGREEMENT_TSV, cross_validation.agreements)
        _write_rows(folder / RISH_POWER_TSV, cross_validation.powers)
        write_histograms(folder / HISTOGRAMS_FILE, cross_validation.histograms)
    if cross_validation.slices:
        write_slices(folder / SLICES_FILE, cross_validation.slices)
    card = replace(cross_validation.model.card, validation=summarize_validation(cross_validation))
    return write_card(folder, card)


def summarize_validation(cross_validation: CrossValidation) -> Validation:
    """Summarize a cross-validation as model.json and every sidecar repeat it."""
    comparisons = [item for item in cross_validation.comparisons if item.baseline in CARD_BASELINES]
    results = validate_against_all(comparisons)
    return Validation(
        method=cross_validation.method,
        subjects=len({row.subject for row in cross_validation.rows}),
        better_than={result.baseline: _summarize_result(result) for result in results},
        equivalence=cross_validation.equivalences,
        preservation=cross_validation.preservations,
        uncertainty=cross_validation.uncertainty,
        missing_shells=cross_validation.missing_shell_errors,
        effects=cross_validation.recoveries,
    )


def read_cross_validation(model: Model) -> CrossValidation:
    """Read what `write_cross_validation` wrote into a model's folder.

    Raises
    ------
    ValueError
        If the model was not cross-validated.
    """
    folder = model.folder
    validation = model.card.validation
    if validation is None:
        msg = f"{folder} holds no cross-validation"
        raise ValueError(msg)
    histograms_file = folder / HISTOGRAMS_FILE
    return CrossValidation(
        model=model,
        method=validation.method,
        rows=_read_rows(folder / HELD_OUT_TSV, HeldOutResult),
        orientations=_read_rows(folder / ORIENTATION_TSV, Orientation),
        uncertainty=validation.uncertainty,
        missing_shell_errors=validation.missing_shells,
        agreements=_read_rows(folder / AGREEMENT_TSV, Agreement),
        powers=_read_rows(folder / RISH_POWER_TSV, RishPower),
        histograms=read_histograms(histograms_file) if histograms_file.exists() else None,
        slices=read_slices(folder / SLICES_FILE),
        effects=_read_rows(folder / EFFECTS_TSV, EffectRow),
        regional_means=_read_rows(folder / REGIONAL_TSV, RegionalMean),
    )


def _summarize_result(result: ValidationResult) -> BaselineAnswer:
    return BaselineAnswer(
        answer=result.answer,
        largest_p=float(f"{result.p:.3g}"),
        smallest_possible_p=result.p_floor,
    )


def _write_rows(table: Path, rows: Sequence[Row]) -> None:
    write_described_table(table, [asdict(row) for row in rows])


def _read_rows(table: Path, row_type: type[Row]) -> tuple[Row, ...]:
    """Read a table as the rows that it was written from; none if it does not exist."""
    if not table.exists():
        return ()
    types = get_type_hints(row_type)
    rows = []
    for cells in read_tsv(table):
        values = {name: types[name](cell) for name, cell in cells.items()}
        rows.append(row_type(**values))
    return tuple(rows)
