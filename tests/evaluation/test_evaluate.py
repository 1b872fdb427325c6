from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.diffusion.spatial.interpolation import has_signal_around
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.evaluation.evaluate import EvaluationResults
from bids_shresnet.evaluation.quantities import MIN_TISSUE_VOXELS
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.evaluation.subject_evaluation import open_evaluation
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.linear import OrderGain, ShProjection
from bids_shresnet.methods.template.template_methods import fit_template_methods
from bids_shresnet.pairs import Split, TravellingSubject
from bids_shresnet.scans import Tissue
from bids_shresnet.settings import Method
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import spiral
from tests.evaluation.scaled_heads import (
    NO_OFFSET,
    evaluate,
    evaluate_job,
    exact_gain,
    exact_regression,
    fa_and_md,
    result,
    scaled_head,
    scaled_heads,
    with_linear_maps,
    write_source,
)
from tests.methods.heads import SHELLS, fit_task, mask_patches, scaled, travelling

METHODS = ("no_harmonization", "sh_projection", "order_gain")
COMBAT_ENDPOINTS = set(product(TISSUES, ("FA", "MD")))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> EvaluationResults:
    """Results of the source's own coefficients, and of exactly the target's."""
    harmonizers: dict[Method, Harmonizer] = {
        "sh_projection": ShProjection((1000.0,)),
        "order_gain": exact_gain(),
    }
    folder = tmp_path_factory.mktemp("results")
    return evaluate(evaluate_job(folder, scaled_heads(), harmonizers))


@pytest.mark.slow
def test_a_region_with_all_voxels_of_a_tissue_has_its_means(tmp_path: Path) -> None:
    head = scaled_head(1)
    heads = scaled_heads() | {"01": replace(head, regions=head.matched.tissue.astype(np.int32))}
    names = {"01": {int(Tissue.WM): "all white matter"}}
    harmonizers: dict[Method, Harmonizer] = {"order_gain": exact_gain()}
    results = evaluate(evaluate_job(tmp_path, heads, harmonizers, region_names=names))
    assert {row.method for row in results.regions} == {"no_harmonization", "order_gain"}
    for row in results.regions:
        tissue = result(results, row.method, "WM", row.quantity)
        assert row.region == "all white matter"
        assert (row.mean, row.target_mean) == pytest.approx((tissue.mean, tissue.target_mean))


def rescan_of(subject: TravellingSubject, sigma: float) -> TravellingSubject:
    """The target's two scans of a head: unmoved, in 15 directions, each with noise of its own."""
    image = subject.source
    target_coefficients = scaled(mask_patches(image)[..., :6]).astype(np.float32)
    target_image = replace(image, coefficients=unmask(target_coefficients, image.mask))
    first = travelling(target_image, 15, change=lambda patches: patches[:, 13], sigma=sigma)
    noise = np.random.default_rng(8).standard_normal(first.matched.signal.shape)
    second = target_coefficients @ first.matched.sh_matrix.T + sigma * noise
    inverse = np.linalg.pinv(first.matched.sh_matrix).T
    return replace(
        first,
        matched=replace(first.matched, tissue=subject.matched.tissue),
        unharmonized=replace(
            first.unharmonized,
            source_maps=unmask(fa_and_md(second, first), image.mask),
            source_coefficients=(second @ inverse).astype(np.float32),
            target_maps=fa_and_md(first.matched.signal.astype(np.float32), first),
        ),
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


def test_combat_of_means_undoes_a_scanner_that_scales_and_shifts_them(tmp_path: Path) -> None:
    """A line through the means of two training subjects is the line that they lie on."""
    heads = {label: with_linear_maps(subject) for label, subject in scaled_heads().items()}
    results = evaluate(evaluate_job(tmp_path, heads, {"order_gain": exact_gain()}))
    rows = [row for row in results.rows if row.method == "combat_mean"]
    assert {(row.tissue, row.quantity) for row in rows} == COMBAT_ENDPOINTS
    assert all(row.nmse == pytest.approx(row.bias**2) for row in rows)
    assert all(row.bias == pytest.approx(row.mean / row.target_mean - 1) for row in rows)
    assert all(abs(row.bias) < 0.03 for row in rows if row.quantity == "FA")


def test_combat_of_means_has_not_seen_the_target_of_the_held_out_subject(tmp_path: Path) -> None:
    heads = {label: with_linear_maps(subject) for label, subject in scaled_heads().items()}
    held_out = heads["01"].unharmonized
    other = replace(held_out, target_maps=1.5 * held_out.target_maps)
    changed = heads | {"01": replace(heads["01"], unharmonized=other)}
    means = []
    target_means = []
    for name, subjects in (("as measured", heads), ("changed", changed)):
        job = evaluate_job(tmp_path / name, subjects, {"order_gain": exact_gain()})
        evaluation = open_evaluation(job, "01", job.prepared_folders["01"])
        rows = list(evaluation.combat_mean_errors())
        means.append([row.mean for row in rows])
        target_means.append([row.target_mean for row in rows])
    np.testing.assert_allclose(means[0], means[1], rtol=1e-6)
    np.testing.assert_allclose(1.5 * np.array(target_means[0]), target_means[1], rtol=1e-5)


@pytest.mark.slow
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
    job = evaluate_job(tmp_path, heads, harmonizers)
    results = evaluate(replace(job, noise=MeasurementNoise(0.06, 15, 1)))
    noisy = result(results, "order_gain", "GM")
    denoised = result(results, "patch_linear", "GM")
    assert noisy.bias < -0.2
    assert abs(denoised.bias) < 0.03
    assert denoised.nmse < noisy.nmse


@pytest.mark.slow
def test_without_the_targets_noise_a_prediction_is_evaluated_as_it_is(tmp_path: Path) -> None:
    harmonizers: dict[Method, Harmonizer] = {
        "patch_linear": exact_regression(),
        "order_gain": exact_gain(),
    }
    results = evaluate(evaluate_job(tmp_path, scaled_heads(), harmonizers))
    expected = result(results, "order_gain").nmse
    assert result(results, "patch_linear").nmse == pytest.approx(expected, rel=1e-3, abs=1e-6)


def between_voxels(subject: TravellingSubject) -> TravellingSubject:
    """The same head with all points up to half a voxel off the voxels' centres."""
    shift = np.random.default_rng(3).uniform(-1, 1, subject.matched.points.shape)  # mm
    points = (subject.matched.points + shift).astype(np.float32)
    return replace(subject, matched=replace(subject.matched, points=points))


def test_a_method_that_changes_nothing_has_the_errors_of_no_harmonization_off_the_voxels(
    tmp_path: Path,
) -> None:
    """FA is looked up for all methods; FA of looked-up signal would be less noisy and lower."""
    heads = scaled_heads()
    table = spiral(6)  # which six coefficients hold exactly, noise included
    scan = write_source(tmp_path / "noisy", heads["01"].source, directions=6, sigma=0.05)
    loaded = load_scan(scan)
    signal = loaded.dwi.data[loaded.mask][:, 1:] / 1000
    inverse = np.linalg.pinv(evaluation_matrix([table], SHELLS)).T
    coefficients = unmask((signal @ inverse).astype(np.float32), loaded.mask)
    tensors = fit_tensor_maps(loaded.dwi, loaded.mask)
    noisy = replace(
        heads["01"],
        source=replace(heads["01"].source, coefficients=coefficients),
        unharmonized=replace(
            heads["01"].unharmonized, source_maps=np.stack([tensors.fa, tensors.md], -1)
        ),
    )
    heads["01"] = between_voxels(noisy)
    nothing = OrderGain(np.ones(6, np.float32), NO_OFFSET)
    job = evaluate_job(tmp_path, heads, {"order_gain": nothing})
    results = evaluate(replace(job, sources={**job.sources, "01": scan}))
    for tissue, quantity in COMBAT_ENDPOINTS:
        before = result(results, "no_harmonization", tissue, quantity)
        after = result(results, "order_gain", tissue, quantity)
        assert after.nmse == pytest.approx(before.nmse, rel=1e-3)
        assert after.mean == pytest.approx(before.mean, rel=1e-4)


@pytest.mark.slow
def test_two_scans_of_the_target_have_twice_the_error_of_a_perfect_prediction(
    tmp_path: Path,
) -> None:
    """Both have noise; the floor has that of the target alone."""
    heads = scaled_heads(sigma=0.03)
    write_travelling_subject(tmp_path / "repeat", rescan_of(heads["01"], 0.03), {"inputs": "x"})
    harmonizers: dict[Method, Harmonizer] = {
        "patch_linear": exact_regression(),
        "order_gain": exact_gain(),
    }
    job = evaluate_job(tmp_path, heads, harmonizers, noise=MeasurementNoise(0.03, 15, 1))
    results = evaluate(replace(job, repeat_folders={"01": tmp_path / "repeat"}))
    assert [row.method for row in results.orientations][:2] == ["no_harmonization", "scan_rescan"]
    for tissue, quantity in COMBAT_ENDPOINTS:
        floor = result(results, "noise_floor", tissue, quantity)
        second = result(results, "scan_rescan", tissue, quantity)
        perfect = result(results, "patch_linear", tissue, quantity)
        assert second.nmse == pytest.approx(2 * floor.nmse, rel=0.2)
        assert perfect.nmse == pytest.approx(1.25 * floor.nmse, rel=0.3)  # a mean of four draws
        assert (floor.bias, floor.mean) == (0, floor.target_mean)
    for tissue in TISSUES:
        floor = result(results, "noise_floor", tissue, "signal")
        assert result(results, "patch_linear", tissue, "signal").nmse == pytest.approx(
            floor.nmse, rel=0.05
        )
    without_rescan = evaluate(replace(job, file=tmp_path / "without.json"))
    assert result(results, "order_gain") == result(without_rescan, "order_gain")


@pytest.mark.slow
def test_interior_places_are_those_without_the_edge_of_the_brain(tmp_path: Path) -> None:
    heads = scaled_heads()
    subject = between_voxels(heads["01"])
    heads["01"] = subject
    results = evaluate(evaluate_job(tmp_path, heads, {"order_gain": exact_gain()}))
    is_inside = has_signal_around(subject.source, subject.matched.points)
    assert 0.2 < is_inside.mean() < 0.8
    fa = subject.unharmonized.target_maps[:, 0]
    for tissue, code in (("WM", Tissue.WM), ("GM", Tissue.GM)):
        is_tissue = subject.matched.tissue == code
        for places, mask in (("all", is_tissue), ("interior", is_tissue & is_inside)):
            row = result(results, "order_gain", tissue, places=places)
            assert row.target_mean == pytest.approx(fa[mask].mean(), rel=1e-5)


@pytest.mark.slow
def test_linear_rish_is_evaluated_with_voxelwise_combat(tmp_path: Path) -> None:
    heads = scaled_heads(grid=(16, 15, 14))  # the least that ANTs registers
    task = fit_task([heads["02"], heads["03"]])
    harmonizers: dict[Method, Harmonizer] = {"linear_rish": fit_template_methods(task).harmonizer}
    results = evaluate(evaluate_job(tmp_path, heads, harmonizers))
    rows = [row for row in results.rows if row.method == "combat_voxel"]
    assert {(row.tissue, row.quantity) for row in rows} == COMBAT_ENDPOINTS
    before = result(results, "no_harmonization", quantity="signal")
    assert result(results, "linear_rish", quantity="signal").nmse < before.nmse


@pytest.mark.slow
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


@pytest.mark.slow
def test_without_oriented_white_matter_directions_are_not_evaluated(tmp_path: Path) -> None:
    heads = scaled_heads()
    heads["01"] = scaled_head(1, strength=0.05)
    heads["01"].matched.tissue[::2] = Tissue.WM
    results = evaluate(evaluate_job(tmp_path, heads, {"order_gain": exact_gain()}))
    assert results.orientations == ()
    assert {row.tissue for row in results.rows if row.method == "order_gain"} == {"WM", "GM"}


@pytest.mark.slow
def test_one_training_subject_is_too_few_for_combat_of_means(tmp_path: Path) -> None:
    split = Split(training=("02",), validation=("04",), test=("01",))
    job = evaluate_job(tmp_path, scaled_heads(), {"order_gain": exact_gain()}, split=split)
    assert "combat_mean" not in {row.method for row in evaluate(job).rows}
