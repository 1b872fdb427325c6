"""Evidence: all that was found on held-out subjects of a pair, written into its model's folder and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from bids_shresnet.evaluation.agreement import Agreement, Histograms, RishPower
from bids_shresnet.evaluation.statistics import (
    RESCAN,
    Bias,
    Comparison,
    HeldOutResult,
    compare_methods,
    summarize_bias,
)
from bids_shresnet.evaluation.validation import (
    CARD_BASELINES,
    ValidationResult,
    validate_against_all,
)
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import read_tsv, write_bytes, write_tsv
from bids_shresnet.outputs.model_card import (
    BaselineAnswer,
    MissingShellError,
    SpreadCalibration,
    Validation,
)
from bids_shresnet.outputs.model_folder import (
    AGREEMENT_TSV,
    HELD_OUT_TSV,
    HISTOGRAMS_FILE,
    ORIENTATION_TSV,
    RISH_POWER_TSV,
    Model,
    write_card,
)
from bids_shresnet.settings import Method

COUNTS_KEY = "counts"
Row = TypeVar("Row", HeldOutResult, Agreement, RishPower)


@dataclass(frozen=True)
class CrossValidation:
    """All that was found on the held-out subjects of one pair.

    Attributes
    ----------
    orientations
        Plain records, for the table.
    uncertainty
        How the spread of the networks relates to their error; None where it cannot be computed.
    missing_shell_errors
        Mean errors of the shells that the source lacks, where these are predicted.
    agreements, powers, histograms
        How the scans before and after lie to what was measured; none in models that earlier versions proved.
    """

    model: Model
    method: Method
    rows: tuple[HeldOutResult, ...]
    orientations: tuple[Mapping[str, Any], ...]
    uncertainty: SpreadCalibration | None = None
    missing_shell_errors: tuple[MissingShellError, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    powers: tuple[RishPower, ...] = ()
    histograms: Histograms | None = None

    @property
    def baselines(self) -> list[str]:
        """Methods that the applied one is compared with."""
        return [
            name
            for name in dict.fromkeys(row.method for row in self.rows)
            if name not in (self.method, RESCAN)
        ]

    @cached_property  # a bootstrap, asked for by tables, figures and the card
    def comparisons(self) -> tuple[Comparison, ...]:
        """The applied method with each of them."""
        return compare_methods(self.rows, self.method, self.baselines)

    @cached_property
    def biases(self) -> tuple[Bias, ...]:
        """Site bias of each method."""
        return summarize_bias(self.rows)


def write_cross_validation(cross_validation: CrossValidation) -> Model:
    """Write the rows and the verdict into the model's folder; the card comes last."""
    folder = cross_validation.model.folder
    write_tsv(folder / HELD_OUT_TSV, [asdict(row) for row in cross_validation.rows])
    write_tsv(folder / ORIENTATION_TSV, cross_validation.orientations)
    if cross_validation.histograms is not None:
        write_tsv(folder / AGREEMENT_TSV, [asdict(row) for row in cross_validation.agreements])
        write_tsv(folder / RISH_POWER_TSV, [asdict(row) for row in cross_validation.powers])
        write_histograms(folder / HISTOGRAMS_FILE, cross_validation.histograms)
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
        uncertainty=cross_validation.uncertainty,
        missing_shells=cross_validation.missing_shell_errors,
    )


def _summarize_result(result: ValidationResult) -> BaselineAnswer:
    return BaselineAnswer(
        answer=result.answer,
        largest_p=float(f"{result.p:.3g}"),
        smallest_possible_p=result.p_floor,
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
    return CrossValidation(
        model=model,
        method=validation.method,
        rows=_read_table_rows(folder / HELD_OUT_TSV, HeldOutResult),
        orientations=tuple(read_tsv(folder / ORIENTATION_TSV)),
        uncertainty=validation.uncertainty,
        missing_shell_errors=validation.missing_shells,
        agreements=_read_table_rows(folder / AGREEMENT_TSV, Agreement),
        powers=_read_table_rows(folder / RISH_POWER_TSV, RishPower),
        histograms=read_histograms(folder / HISTOGRAMS_FILE)
        if (folder / HISTOGRAMS_FILE).exists()
        else None,
    )


def write_histograms(file: Path, histograms: Histograms) -> None:
    """Write the counts, with the subjects they are of."""
    write_bytes(
        file,
        serialize_arrays({COUNTS_KEY: histograms.counts}, {"subjects": list(histograms.subjects)}),
    )


def read_histograms(file: Path) -> Histograms:
    """Read what `write_histograms` wrote."""
    return Histograms(read_arrays(file)[COUNTS_KEY], tuple(read_record(file)["subjects"]))


def _read_table_rows(table: Path, kind: type[Row]) -> tuple[Row, ...]:
    """Rows of a table as the dataclass they were written from; none where there is no such table."""
    types = get_type_hints(kind)
    rows = read_tsv(table) if table.exists() else []
    return tuple(kind(**{name: types[name](cell) for name, cell in row.items()}) for row in rows)
