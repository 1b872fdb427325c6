"""Tables of all cross-validations at the root of the output, each with a description in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bids_shresnet.evaluation.cross_validation import CrossValidation, summarize_validation
from bids_shresnet.evaluation.group_table_columns import (
    BIAS_COLUMNS,
    COMPARISON_COLUMNS,
    ERROR_COLUMNS,
    REGION_COLUMNS,
)
from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model.validation import Equivalence, Preservation

ERRORS_NAME = "group_harmonization"
COMPARISONS_NAME = "group_comparisons"
BIAS_NAME = "group_bias"
REGIONS_NAME = "group_regions"
UNKNOWN_INTERVAL = (None, None)

Row = Mapping[str, object]
Columns = Mapping[str, Mapping[str, Any]]


def write_group_tables(root: Path, cross_validations: Sequence[CrossValidation]) -> None:
    """Write errors, comparisons, site biases and reliability of all pairs.

    The description of the errors also holds the validation and the folds of each pair.
    """
    pairs = [_pair_record(item) for item in cross_validations]
    errors = _collect(cross_validations, _error_rows)
    _write_table(root, ERRORS_NAME, errors, ERROR_COLUMNS, {"Pairs": pairs})
    comparisons = _collect(cross_validations, _comparison_rows)
    _write_table(root, COMPARISONS_NAME, comparisons, COMPARISON_COLUMNS)
    _write_table(root, BIAS_NAME, _collect(cross_validations, _bias_rows), BIAS_COLUMNS)
    _write_table(root, REGIONS_NAME, _collect(cross_validations, region_rows), REGION_COLUMNS)


def _collect(
    cross_validations: Sequence[CrossValidation],
    make_rows: Callable[[CrossValidation], Iterable[Row]],
) -> list[Row]:
    """Make the rows of all pairs, with the name of the pair."""
    rows: list[Row] = []
    for item in cross_validations:
        rows += [{"pair": item.model.name, **row} for row in make_rows(item)]
    return rows


def _error_rows(cross_validation: CrossValidation) -> Iterator[Row]:
    return (asdict(row) for row in cross_validation.rows)


def _comparison_rows(cross_validation: CrossValidation) -> Iterator[Row]:
    return (_split_intervals(asdict(row)) for row in cross_validation.comparisons)


def _bias_rows(cross_validation: CrossValidation) -> Iterator[Row]:
    return (_split_intervals(asdict(row)) for row in cross_validation.biases)


def region_rows(cross_validation: CrossValidation) -> Iterator[dict[str, object]]:
    """Yield site bias, ICC and detectable change of each tissue and region of the parcellation.

    There is a row for the input and one for the applied method.
    """
    tests = (*cross_validation.equivalences, *cross_validation.regional_equivalences)
    records = (*cross_validation.preservations, *cross_validation.regional_preservations)
    preservations = {(item.method, item.region, item.quantity): item for item in records}
    for test in tests:
        record = preservations.get((test.method, test.region, test.quantity))
        yield {**_equivalence_cells(test), **_preservation_cells(record)}


def _equivalence_cells(test: Equivalence) -> dict[str, object]:
    low, high = test.interval or UNKNOWN_INTERVAL
    return {
        "method": test.method,
        "region": test.region,
        "quantity": test.quantity,
        "n": test.subjects,
        "bias": test.bias,
        "bias_low": low,
        "bias_high": high,
        "margin": test.margin,
        "p_equivalence": test.p,
        "is_equivalent": test.answer,
    }


def _preservation_cells(record: Preservation | None) -> dict[str, object]:
    if record is None:
        return {}
    return {
        "slope": record.slope,
        "slope_low": record.slope_interval[0],
        "slope_high": record.slope_interval[1],
        "icc": record.icc,
        "icc_low": record.icc_interval[0],
        "icc_high": record.icc_interval[1],
        "rank_correlation": record.rank_correlation,
        "detectable_change": record.detectable_change,
    }


def _split_intervals(record: Mapping[str, Any]) -> dict[str, object]:
    """Give each end of the interval a column of its own."""
    low, high = record["interval"]
    return {**record, "interval_low": low, "interval_high": high}


def _write_table(
    root: Path,
    name: str,
    rows: Sequence[Row],
    columns: Columns,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write the cells of the described columns, and the description with a record."""
    described = [_select_cells(row, columns) for row in rows]
    write_tsv(root / f"{name}.tsv", described, list(columns))
    write_json(root / f"{name}.json", {**columns, **(record or {})})


def _select_cells(row: Row, columns: Columns) -> dict[str, object]:
    return {column: row.get(column) for column in columns}


def _pair_record(cross_validation: CrossValidation) -> dict[str, Any]:
    return {
        "Name": cross_validation.model.name,
        "Validation": to_json(summarize_validation(cross_validation)),
        "Folds": [to_json(split) for split in cross_validation.model.splits],
    }
