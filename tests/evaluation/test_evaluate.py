from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.evaluation.evaluate import EvaluationResults
from bids_shresnet.evaluation.quantities import MIN_TISSUE_VOXELS
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.linear import ShProjection
from bids_shresnet.methods.template_methods import fit_template_methods
from bids_shresnet.pairs import Split, TravellingSubject
from bids_shresnet.scans import Tissue
from bids_shresnet.settings import Method
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.evaluation.scaled_heads import (
    evaluate,
    evaluate_job,
    exact_gain,
    exact_regression,
    fa_and_md,
    result,
    scaled_head,
    scaled_heads,
)
from tests.methods.heads import fit_task, mask_patches, scaled, travelling

METHODS = ("no_harmonization", "sh_projection", "order_gain")
COMBAT_ENDPOINTS = set(product(TISSUES, ("FA", "MD")))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> EvaluationResults:
    """Results of the source's own coefficients, and of exactly the target's."""
    harmonizers: dict[Method, Harmonizer] = {
        "sh_projection": ShProjection(),
        "order_gain": exact_gain(),
    }
    folder = tmp_path_factory.mktemp("results")
    return evaluate(evaluate_job(folder, scaled_heads(), harmonizers))


def rescan_of(subject: TravellingSubject) -> TravellingSubject:
    """The target's two scans of a head: unmoved, in other directions, with other noise."""
    image = subject.source
    target_coefficients = scaled(mask_patches(image)[..., :6]).astype(np.float32)
    target_image = replace(image, coefficients=unmask(target_coefficients, image.mask))
    rescan = travelling(target_image, 16, change=lambda patches: patches[:, 13], sigma=0.02)
    maps = fa_and_md(rescan.matched.signal.astype(np.float32), rescan)
    return replace(
        rescan,
        matched=replace(rescan.matched, tissue=subject.matched.tissue),
        unharmonized=replace(rescan.unharmonized, source_maps=unmask(maps, image.mask)),
    )


def test_the_targets_own_coefficients_have_no_error_no_bias_and_its_directions(
    results: EvaluationResults,
) -> None:
    for row in results.rows:
        if row.method == "order_gain":
            assert row.nmse < 1e-4
            assert abs(row.bias) < 0.005
            projection = result(results, "sh_projection", row.tissue, row.quantity)
            assert row.nmse < 0.1 * projection.nmse
    orientations = {row.method: row for row in results.orientations}
    assert orientations["order_gain"].angle < 0.5
    assert orientations["order_gain"].correlation > 0.9999


def test_every_method_is_evaluated_in_every_tissue_and_quantity(
    results: EvaluationResults,
) -> None:
    endpoints = [
        (row.method, row.tissue, row.quantity)
        for row in results.rows
        if not row.method.startswith("combat") and row.places == "all"
    ]
    assert sorted(endpoints) == sorted(product(METHODS, TISSUES, QUANTITIES))
    assert {(row.subject, row.fold) for row in results.rows} == {("01", 1)}
    assert [row.method for row in results.orientations] == list(METHODS)


@pytest.mark.parametrize(("tissue", "code"), [("WM", Tissue.WM), ("GM", Tissue.GM)])
@pytest.mark.parametrize(("column", "quantity"), [(0, "FA"), (1, "MD")])
def test_no_harmonization_is_the_sources_own_map_against_that_of_the_target(
    tissue: str, code: Tissue, column: int, quantity: str, results: EvaluationResults
) -> None:
    subject = scaled_head(1)
    mask = subject.matched.tissue == code
    measured = fa_and_md(subject.matched.signal.astype(np.float32), subject)[mask, column]
    source = subject.unharmonized.source_maps[subject.source.mask][mask, column]
    row = result(results, "no_harmonization", tissue, quantity)
    nmse = np.square(measured - source).sum() / np.square(measured).sum()
    assert row.nmse == pytest.approx(nmse, rel=1e-3)
    assert row.bias == pytest.approx(source.mean() / measured.mean() - 1, rel=1e-3)


def test_differences_and_nmse_have_the_same_ratio_between_methods(
    results: EvaluationResults,
) -> None:
    """mean^2 + deviation^2 is the mean squared difference."""
    squares = {
        (row.method, row.tissue, row.quantity): row.mean**2 + row.deviation**2
        for row in results.agreements
    }
    assert {method for method, _, _ in squares} == {"no_harmonization", "sh_projection"}
    for endpoint in product(TISSUES, QUANTITIES):
        before = result(results, "no_harmonization", *endpoint)
        after = result(results, "sh_projection", *endpoint)
        ratio = squares["no_harmonization", *endpoint] / squares["sh_projection", *endpoint]
        assert ratio == pytest.approx(before.nmse / after.nmse, rel=1e-4)


def test_joint_histograms_count_the_values_of_the_agreement(results: EvaluationResults) -> None:
    counts = results.histograms.counts[0].sum(axis=(3, 4))  # (state, tissue, quantity)
    assert counts.ravel().tolist() == [row.value_count for row in results.agreements]
    assert results.histograms.subjects == ("01",)


def test_power_is_that_of_the_target_then_before_and_after(results: EvaluationResults) -> None:
    rows_per_method = 4  # two tissues, two orders
    methods = [row.method for row in results.powers[::rows_per_method]]
    assert methods == ["target", "no_harmonization", "sh_projection"]


def test_combat_of_means_undoes_a_scanner_that_scales_and_shifts_them(
    results: EvaluationResults,
) -> None:
    """A line through the means of two training subjects is the line that they lie on."""
    rows = [row for row in results.rows if row.method == "combat_mean"]
    assert {(row.tissue, row.quantity) for row in rows} == COMBAT_ENDPOINTS
    assert all(row.nmse == pytest.approx(row.bias**2) for row in rows)
    assert all(abs(row.bias) < 0.03 for row in rows if row.quantity == "FA")


def test_a_denoising_method_is_evaluated_as_the_target_would_measure_it(tmp_path: Path) -> None:
    """Both methods predict the truth; noise inflates measured FA, which is no error of theirs."""
    heads = scaled_heads(sigma=0.06, strength=0.2)
    for subject in heads.values():
        is_grey = np.arange(len(subject.matched.tissue)) % 10 > 0
        subject.matched.tissue[:] = np.where(is_grey, Tissue.GM, Tissue.WM)
    harmonizers: dict[Method, Harmonizer] = {
        "patch_linear": exact_regression(),
        "order_gain": exact_gain(),
    }
    results = evaluate(evaluate_job(tmp_path, heads, harmonizers))
    noisy = result(results, "order_gain", "GM")
    denoised = result(results, "patch_linear", "GM")
    assert noisy.bias < -0.2
    assert abs(denoised.bias) < 0.03
    assert denoised.nmse < noisy.nmse


def test_without_the_targets_noise_a_prediction_is_evaluated_as_it_is(tmp_path: Path) -> None:
    heads = scaled_heads()
    for subject in heads.values():
        subject.matched.noise_variance[:] = np.nan
    harmonizers: dict[Method, Harmonizer] = {
        "patch_linear": exact_regression(),
        "order_gain": exact_gain(),
    }
    results = evaluate(evaluate_job(tmp_path, heads, harmonizers))
    expected = result(results, "order_gain").nmse
    assert result(results, "patch_linear").nmse == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_rescan_of_the_target_has_the_error_of_its_noise(tmp_path: Path) -> None:
    heads = scaled_heads(sigma=0.02)
    rescan = rescan_of(heads["01"])
    write_travelling_subject(tmp_path / "repeat", rescan, {"inputs": "repeat"})
    job = evaluate_job(tmp_path, heads, {"order_gain": exact_gain()})
    results = evaluate(replace(job, repeat_folders={"01": tmp_path / "repeat"}))
    assert [row.method for row in results.orientations] == [
        "no_harmonization",
        "scan_rescan",
        "order_gain",
    ]
    assert result(results, "scan_rescan").nmse < 1e-6
    white_signal = rescan.matched.signal[heads["01"].matched.tissue == Tissue.WM]
    noise = 0.02**2 / np.square(white_signal.astype(float)).mean()
    assert result(results, "scan_rescan", quantity="signal").nmse == pytest.approx(noise, rel=0.1)
    without_rescan = evaluate(replace(job, file=tmp_path / "without.json"))
    assert result(results, "order_gain") == result(without_rescan, "order_gain")


def test_linear_rish_is_evaluated_with_voxelwise_combat(tmp_path: Path) -> None:
    heads = scaled_heads(grid=(16, 15, 14))  # the least that ANTs registers
    task = fit_task([heads["02"], heads["03"]])
    harmonizers: dict[Method, Harmonizer] = {"linear_rish": fit_template_methods(task).harmonizer}
    results = evaluate(evaluate_job(tmp_path, heads, harmonizers))
    rows = [row for row in results.rows if row.method == "combat_voxel"]
    assert {(row.tissue, row.quantity) for row in rows} == COMBAT_ENDPOINTS
    before = result(results, "no_harmonization", quantity="signal")
    assert result(results, "linear_rish", quantity="signal").nmse < before.nmse


@pytest.mark.parametrize(
    ("count", "tissues"), [(MIN_TISSUE_VOXELS - 1, {"WM"}), (MIN_TISSUE_VOXELS, {"WM", "GM"})]
)
def test_a_tissue_of_few_voxels_is_not_evaluated(
    count: int, tissues: set[str], tmp_path: Path
) -> None:
    heads = scaled_heads()
    heads["01"].matched.tissue[:] = Tissue.WM
    heads["01"].matched.tissue[:count] = Tissue.GM
    results = evaluate(evaluate_job(tmp_path, heads, {"order_gain": exact_gain()}))
    assert {row.tissue for row in results.rows if row.method == "order_gain"} == tissues


def test_without_oriented_white_matter_directions_are_not_evaluated(tmp_path: Path) -> None:
    heads = scaled_heads()
    heads["01"] = scaled_head(1, strength=0.05)
    heads["01"].matched.tissue[::2] = Tissue.WM
    results = evaluate(evaluate_job(tmp_path, heads, {"order_gain": exact_gain()}))
    assert results.orientations == ()
    assert {row.tissue for row in results.rows if row.method == "order_gain"} == {"WM", "GM"}


def test_one_training_subject_is_too_few_for_combat_of_means(tmp_path: Path) -> None:
    split = Split(training=("02",), validation=("04",), test=("01",))
    job = evaluate_job(tmp_path, scaled_heads(), {"order_gain": exact_gain()}, split=split)
    assert "combat_mean" not in {row.method for row in evaluate(job).rows}
