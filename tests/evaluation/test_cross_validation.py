from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.cross_validation import (
    CrossValidation,
    read_cross_validation,
    summarize_validation,
    write_cross_validation,
)
from bids_shresnet.evaluation.group_means.regional_means import RegionalMean
from bids_shresnet.evaluation.validation import unvalidated_reasons
from bids_shresnet.outputs.model.folder import read_model
from bids_shresnet.outputs.model.validation import Validation
from bids_shresnet.settings import Method
from tests.held_out import effects
from tests.report.cross_validations import (
    CALIBRATION,
    cross_validation,
    held_out_results,
    with_agreement,
)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bids_shresnet.evaluation.statistics.BOOTSTRAP_RESAMPLES", 99)


def unvalidated_reason(cross_validation: CrossValidation, method: Method = "shresnet") -> Finding:
    model = write_cross_validation(cross_validation)
    (reason,) = unvalidated_reasons(model, method)
    return reason


@pytest.mark.parametrize(
    ("count", "worse", "answer"),
    [(6, 0, "yes"), (12, 0, "yes"), (12, 6, "no"), (3, 0, "not enough subjects")],
)
def test_the_card_holds_the_answer(count: int, worse: int, answer: str, tmp_path: Path) -> None:
    model = write_cross_validation(cross_validation(tmp_path, count, worse=worse))
    validation = model.card.validation
    assert validation is not None
    assert (validation.method, validation.subjects) == ("shresnet", count)
    result = validation.better_than["no_harmonization"]
    assert result.answer == answer
    assert result.smallest_possible_p == 1 / 2**count
    assert read_model(model.folder).card.validation == validation


def test_the_card_compares_tissue_means_before_and_after(tmp_path: Path) -> None:
    model = write_cross_validation(cross_validation(tmp_path, 6))
    validation = read_model(model.folder).card.validation
    assert validation is not None
    expected = [
        (method, tissue, quantity)
        for method in ("no_harmonization", "shresnet")
        for tissue in ("WM", "GM")
        for quantity in ("FA", "MD")
    ]
    for records in (validation.equivalence, validation.preservation):
        assert [(item.method, item.region, item.quantity) for item in records] == expected
    biases = [item.bias for item in validation.equivalence]
    assert biases == pytest.approx([0.25] * 4 + [0.05] * 4)
    slopes = [item.slope for item in validation.preservation]
    assert slopes == pytest.approx([1.25] * 4 + [1.05] * 4)


def test_a_cross_validation_is_read_as_it_was_written(tmp_path: Path) -> None:
    regional = RegionalMean("01", 1, "shresnet", "body of the fornix", "MD", 31, 0.8e-3, 0.7e-3)
    plain = replace(cross_validation(tmp_path, 4), regional_means=(regional,))
    plain = replace(plain, uncertainty=CALIBRATION)
    written = replace(with_agreement(plain), effects=tuple(effects()))
    read = read_cross_validation(write_cross_validation(written))
    assert (read.method, read.rows, read.orientations) == (
        written.method,
        written.rows,
        written.orientations,
    )
    assert read.regional_means == written.regional_means
    assert (read.agreements, read.powers) == (written.agreements, written.powers)
    assert read.effects == written.effects
    assert summarize_validation(read) == summarize_validation(written)
    assert written.histograms is not None
    assert read.histograms is not None
    assert read.histograms.subjects == written.histograms.subjects
    np.testing.assert_array_equal(read.histograms.counts, written.histograms.counts)


def test_the_card_says_how_much_of_an_effect_is_recovered(tmp_path: Path) -> None:
    plain = replace(cross_validation(tmp_path, 4), effects=tuple(effects()))
    validation = read_model(write_cross_validation(plain).folder).card.validation
    assert validation is not None
    (recovery,) = validation.effects
    assert (recovery.effect, recovery.n) == ("tract", 3)
    assert recovery.recovered == pytest.approx(0.91)
    assert recovery.false_positives == pytest.approx(0.01)


def test_a_model_without_cross_validation_cannot_be_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no cross-validation"):
        read_cross_validation(cross_validation(tmp_path, 3).model)


def test_a_second_scan_of_the_target_is_no_baseline(tmp_path: Path) -> None:
    plain = cross_validation(tmp_path, 6)
    second_scans = held_out_results({"scan_rescan": 0.001}, 6)
    with_second_scan = replace(plain, rows=(*plain.rows, *second_scans))
    assert with_second_scan.baselines == plain.baselines
    assert plain.baselines == ["no_harmonization", "denoised", "order_gain"]
    plain_methods = {bias.method for bias in plain.biases}
    assert {bias.method for bias in with_second_scan.biases} == plain_methods | {"scan_rescan"}


def test_a_validated_model_has_no_reason_against_it(tmp_path: Path) -> None:
    model = write_cross_validation(cross_validation(tmp_path, 6))
    assert unvalidated_reasons(model, "shresnet") == ()


def test_a_model_without_cross_validation_is_not_validated(tmp_path: Path) -> None:
    (reason,) = unvalidated_reasons(cross_validation(tmp_path, 3).model, "shresnet")
    assert reason.severity == "error"
    assert reason.file == "from-GE_to-Prisma"
    assert "never cross-validated" in reason.value


@pytest.mark.parametrize(
    ("count", "worse", "text"), [(12, 6, "(no; p = "), (3, 0, "(not enough subjects; p = 0.125)")]
)
def test_a_model_that_is_not_better_is_not_validated(
    count: int, worse: int, text: str, tmp_path: Path
) -> None:
    reason = unvalidated_reason(cross_validation(tmp_path, count, worse=worse))
    assert "not validated to be better than no harmonization" in reason.value
    assert text in reason.value


def test_a_model_not_compared_with_no_harmonization_is_not_validated(tmp_path: Path) -> None:
    validation = Validation(method="shresnet", subjects=9, better_than={})
    model = cross_validation(tmp_path, 3, validation=validation).model
    (reason,) = unvalidated_reasons(model, "shresnet")
    assert reason.value == "it was not compared with no harmonization"


def test_a_model_that_is_better_than_no_harmonization_alone_is_not_validated(
    tmp_path: Path,
) -> None:
    whole = cross_validation(tmp_path, 6)
    rows = tuple(row for row in whole.rows if row.method != "denoised")
    reason = unvalidated_reason(replace(whole, rows=rows))
    assert reason.value == "it was not compared with denoising only"
    noisy = tuple(
        replace(row, nmse=row.nmse / 10) if row.method == "denoised" else row for row in whole.rows
    )
    reason = unvalidated_reason(replace(whole, rows=noisy))
    assert "not validated to be better than denoising only (no; p = " in reason.value


def test_the_validation_of_one_method_is_not_that_of_another(tmp_path: Path) -> None:
    reason = unvalidated_reason(cross_validation(tmp_path, 6), "shresnet_projected")
    assert "not with shresnet_projected" in reason.value
