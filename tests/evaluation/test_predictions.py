from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.interpolation import sample_inside
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.io.nifti import read_mask, read_volume
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS, ScanOutputs
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import MatchedVoxels, Split, TravellingSubject, UnharmonizedData
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan, Tissue
from bids_shresnet.settings import Method
from bids_shresnet.training.match_scans import RepresentedScan
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import spiral
from tests.evaluation.scaled_heads import evaluate, result
from tests.models import NOISE, constant_model

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
    return TravellingSubject(image, matched, unharmonized)


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
