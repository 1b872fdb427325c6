"""Evidence: all that was found on held-out subjects of a pair, written into its model's folder and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from bids_shresnet.evaluation.validation import CARD_BASELINES, validate_against_all
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import read_tsv, write_bytes, write_json, write_tsv
from bids_shresnet.outputs.model_folder import (
    AGREEMENT_TSV,
    CARD_FILE,
    HELD_OUT_TSV,
    HISTOGRAMS_FILE,
    ORIENTATION_TSV,
    RISH_POWER_TSV,
    Model,
    read_model,
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
        How the spread of the networks goes with their error, a plain record.
    missing_shell_errors
        Errors of the shells that the source lacks, where these are predicted: plain records.
    agreements, powers, histograms
        How the scans before and after lie to what was measured; none in models that earlier versions proved.
    """

    model: Model
    method: Method
    rows: tuple[HeldOutResult, ...]
    orientations: tuple[Mapping[str, Any], ...]
    uncertainty: Mapping[str, Any] | None = None
    missing_shell_errors: Sequence[Mapping[str, Any]] = ()
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
    write_json(
        folder / CARD_FILE,
        {**cross_validation.model.card, "Validation": validation_record(cross_validation)},
    )
    return read_model(folder)


def validation_record(cross_validation: CrossValidation) -> dict[str, Any]:
    """The verdict, as model.json and every sidecar repeat it."""
    judged = [one for one in cross_validation.comparisons if one.baseline in CARD_BASELINES]
    return {
        "Method": cross_validation.method,
        "Subjects": len({row.subject for row in cross_validation.rows}),
        "BetterThan": {
            one.baseline: {
                "Answer": one.answer,
                "LargestP": float(f"{one.p:.3g}"),
                "SmallestPossibleP": one.p_floor,
            }
            for one in validate_against_all(judged)
        },
        **({"Uncertainty": cross_validation.uncertainty} if cross_validation.uncertainty else {}),
        **(
            {"MissingShells": list(cross_validation.missing_shell_errors)}
            if cross_validation.missing_shell_errors
            else {}
        ),
    }


def read_cross_validation(model: Model) -> CrossValidation:
    """What `write_cross_validation` left in a model's folder."""
    folder, validation = model.folder, model.validation
    return CrossValidation(
        model=model,
        method=validation["Method"],
        rows=_read_table_rows(folder / HELD_OUT_TSV, HeldOutResult),
        orientations=tuple(read_tsv(folder / ORIENTATION_TSV)),
        uncertainty=validation.get("Uncertainty"),
        missing_shell_errors=validation.get("MissingShells", ()),
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
    return Histograms(read_arrays(str(file))[COUNTS_KEY], tuple(read_record(str(file))["subjects"]))


def _read_table_rows(table: Path, kind: type[Row]) -> tuple[Row, ...]:
    """Rows of a table as the dataclass they were written from; none where there is no such table."""
    types = get_type_hints(kind)
    rows = read_tsv(table) if table.exists() else []
    return tuple(kind(**{name: types[name](cell) for name, cell in row.items()}) for row in rows)
