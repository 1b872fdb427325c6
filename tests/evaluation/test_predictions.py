from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.spatial.interpolation import sample_inside
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.io.images.nifti import read_mask, read_volume
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.linear import ShProjection
from bids_shresnet.methods.networks.denoiser import Denoiser
from bids_shresnet.methods.networks.map_regression import MapRegression
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer
from bids_shresnet.network.map_network import build_map_network
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS, ScanOutputs
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import MatchedVoxels, Split, TravellingSubject, UnharmonizedData
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan, Tissue
from bids_shresnet.settings import Method
from bids_shresnet.training.match_scans import RepresentedScan
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import spiral
from tests.evaluation.scaled_heads import evaluate, evaluate_job, result, scaled_heads
from tests.methods.heads import SHELLS
from tests.models import NOISE, constant_model, constant_network

VOXELS = 300
DIRECTIONS = 12


def matched_subject(scan: Scan, model: Model) -> TravellingSubject:
    """A subject whose target measured something random at random points of the source's brain."""
    source = RepresentedScan.load(scan, model.source_shells)
    image = source.representation.image
    rng = np.random.default_rng(0)
    voxels = rng.permutation(np.argwhere(image.mask))[:VOXELS] + rng.uniform(-0.4, 0.4, (VOXELS, 3))
    table = spiral(DIRECTIONS)
    matched = MatchedVoxels(
        patches=np.zeros((VOXELS, 27, image.coefficients.shape[3] + 1), np.float16),
        signal=rng.uniform(0.2, 0.7, (VOXELS, DIRECTIONS)).astype(np.float16),
        bvals=np.full(DIRECTIONS, 1000.0),
        bvecs=table,
        sh_matrix=evaluation_matrix([table], model.source_shells).astype(np.float32),
        noise_variance=np.full(VOXELS, 1e-3, np.float32),
        source_s0=np.ones(VOXELS, np.float32),
        points=voxels @ image.affine[:3, :3].T + image.affine[:3, 3],
        tissue=np.where(np.arange(VOXELS) < 100, Tissue.GM, Tissue.WM).astype(np.uint8),
    )
    maps = np.stack([rng.uniform(0.1, 0.8, VOXELS), rng.uniform(5e-4, 1e-3, VOXELS)], axis=1)
    unharmonized = UnharmonizedData(
        source_coefficients=np.zeros((VOXELS, image.coefficients.shape[3]), np.float32),
        source_maps=np.zeros((*image.mask.shape, 2), np.float32),
        target_maps=maps.astype(np.float32),
        target_tensor_bvals=np.array([0.0] + [1000.0] * DIRECTIONS),
    )
    return TravellingSubject(image, matched, unharmonized, image.coefficients[image.mask])


def evaluation_job(folder: Path, scan: Scan, model: Model) -> EvaluateJob:
    """Job of the fold that holds the subject of the scan out; nobody else was prepared."""
    fold = model.card.folds[0]
    return EvaluateJob(
        number=1,
        split=Split(training=(), validation=(), test=("01",)),
        prepared_folders={"01": folder},
        repeat_folders={},
        sources={"01": scan},
        shells=model.source_shells,
        target_bvalues=model.target_bvalues,
        noise=fold.measurement_noise,
        methods=("shresnet", "shresnet_projected"),
        applied_method="shresnet",
        fitted_files={"shresnet": model.folder / fold.weights.file},
        file=folder / "evaluation-01.json",
        seed=0,
        device="cpu",
    )


def harmonize(scan: Scan, model: Model, root: Path, options: HarmonizeOptions) -> ScanOutputs:
    (job,), _ = make_harmonize_jobs(
        [scan], [model], options=options, bids_dir=scan.dataset, root=root
    )
    assert job.is_travelling
    write_harmonized_scan(job)
    return job.outputs


@pytest.mark.slow
@pytest.mark.parametrize("method", ["shresnet", "shresnet_projected"])
def test_the_errors_of_fa_and_md_are_those_of_the_written_maps(
    method: Method, phantom: Path, tmp_path: Path
) -> None:
    inputs = InputSettings(phantom / "bids")
    inventory = find_scans(inputs, ScannerSettings(), is_identity_required=True)
    scan = next(scan for scan in inventory.scans if (scan.subject, scan.session) == ("01", "ge"))
    model = constant_model(
        tmp_path / "model",
        scan.dataset,
        source=scan.scanner_label,
        target_bvalue=1100.0,
        noise=NOISE,
    )
    subject = matched_subject(scan, model)
    write_travelling_subject(tmp_path / "prepared", subject, {"inputs": "01"})
    results = evaluate(evaluation_job(tmp_path / "prepared", scan, model))
    outputs = harmonize(scan, model, tmp_path / "out", HarmonizeOptions(method=method))
    for column, parameter in enumerate(TENSOR_PARAMETERS):
        values, affine = read_volume(outputs.tensor_map(parameter, "harmonized"))
        mask = read_mask(outputs.mask, values.shape, affine)
        found = sample_inside(values[..., None], mask, affine, subject.matched.points)[:, 0]
        for tissue, code in (("WM", Tissue.WM), ("GM", Tissue.GM)):
            rows = subject.matched.tissue == code
            target = subject.unharmonized.target_maps[rows, column]
            row = result(results, method, tissue, parameter.upper())
            nmse = np.square(found[rows] - target).sum() / np.square(target).sum()
            assert row.nmse == pytest.approx(nmse, rel=1e-5)
            assert row.mean == pytest.approx(found[rows].mean(), rel=1e-5)
            assert row.target_mean == pytest.approx(target.mean(), rel=1e-5)


@pytest.mark.slow
def test_the_b_value_alone_leaves_fa_and_md_as_they_are_and_changes_the_signal(
    tmp_path: Path,
) -> None:
    harmonizers: dict[Method, Harmonizer] = {"sh_projection": ShProjection((1000.0,))}
    job = evaluate_job(tmp_path, scaled_heads(), harmonizers)
    methods: tuple[Method, ...] = ("sh_projection", "b_value_only")
    same = evaluate(replace(job, methods=methods))
    other = evaluate(replace(job, methods=methods, target_bvalues=(1200.0,)))
    for quantity in ("FA", "MD"):
        before = result(same, "no_harmonization", "GM", quantity)
        for results in (same, other):
            row = result(results, "b_value_only", "GM", quantity)
            assert row.mean == pytest.approx(before.mean, rel=5e-3)
    before = result(same, "no_harmonization", "GM", "signal")
    assert result(same, "b_value_only", "GM", "signal").mean == pytest.approx(before.mean, rel=2e-3)
    lower = before.mean**1.2  # on average over voxels of nearly the same signal
    assert result(other, "b_value_only", "GM", "signal").mean == pytest.approx(lower, rel=0.03)


@pytest.mark.slow
def test_the_projection_has_the_same_md_at_any_b_value(tmp_path: Path) -> None:
    means = []
    for bvalue in (1000.0, 1200.0):
        folder = tmp_path / f"{bvalue:.0f}"
        job = evaluate_job(folder, scaled_heads(), {"sh_projection": ShProjection((bvalue,))})
        results = evaluate(replace(job, target_bvalues=(bvalue,)))
        means.append(result(results, "sh_projection", "GM", "MD").mean)
    assert means[1] == pytest.approx(means[0], rel=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("target_bvalue", [1000.0, 1200.0])
def test_denoising_alone_has_the_md_of_its_prediction_at_any_b_value(
    target_bvalue: float, tmp_path: Path
) -> None:
    """The network predicts half of S0 in all directions: FA = 0 and MD = ln 2 / b."""
    denoiser = Denoiser(ShresnetHarmonizer(constant_network(0.5)), SHELLS)
    job = evaluate_job(tmp_path, scaled_heads(), {"denoised": denoiser})
    results = evaluate(replace(job, target_bvalues=(target_bvalue,)))
    assert result(results, "denoised", "GM", "FA").mean < 0.01
    assert result(results, "denoised", "GM", "MD").mean == pytest.approx(np.log(2) / 1000, rel=5e-3)
    signal = result(results, "denoised", "GM", "signal").mean
    assert signal == pytest.approx(0.5 ** (target_bvalue / 1000), rel=5e-3)


def test_a_method_of_maps_has_rows_of_fa_and_md_and_no_others(tmp_path: Path) -> None:
    regression = MapRegression(build_map_network((1, 5), seed=0).eval())
    harmonizers: dict[Method, Harmonizer] = {
        "sh_projection": ShProjection((1000.0,)),
        "map_regression": regression,
    }
    heads = scaled_heads()
    results = evaluate(evaluate_job(tmp_path, heads, harmonizers))
    rows = [row for row in results.rows if row.method == "map_regression"]
    assert {row.quantity for row in rows} == {"FA", "MD"}
    assert "map_regression" not in {row.method for row in results.orientations}
    expected = regression.predict(heads["01"].source)  # all voxels, which are the matched points
    is_white = heads["01"].matched.tissue == Tissue.WM
    for column, quantity in enumerate(("FA", "MD")):
        row = result(results, "map_regression", "WM", quantity)
        assert row.mean == pytest.approx(expected[is_white, column].mean(), rel=1e-4)
