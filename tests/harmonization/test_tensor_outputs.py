from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.harmonization.apply_coefficients import noise_seed
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.layout import (
    TENSOR_PARAMETERS,
    ScanOutputs,
    TensorParameter,
    sidecar_path,
)
from bids_shresnet.scans import Scan
from tests.harmonization.harmonizing import find_supported_voxels
from tests.images import load_image
from tests.models import NOISE, constant_model

BVALUE = 1200.0  # of the target; the source has 1000


@pytest.fixture(scope="module")
def scan(scans: dict[str, Scan]) -> Scan:
    return scans["04"]


def harmonize_to(scan: Scan, root: Path, *targets: str) -> list[ScanOutputs]:
    """Harmonize to half of S0 in all directions, for each target."""
    models = [
        constant_model(
            root / "models" / name,
            scan.dataset,
            signals=(0.5, 0.5, 0.5),
            source=scan.scanner_label,
            target=name,
            target_bvalue=BVALUE,
        )
        for name in targets
    ]
    jobs, _ = make_harmonize_jobs(
        [scan], models, options=HarmonizeOptions(), bids_dir=scan.dataset, root=root
    )
    for job in jobs:
        write_harmonized_scan(job)
    return [job.outputs for job in jobs]


@pytest.fixture(scope="module")
def outputs(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> ScanOutputs:
    root = tmp_path_factory.mktemp("out")
    (scan_outputs,) = harmonize_to(scan, root, "Prisma")
    return scan_outputs


def map_values(outputs: ScanOutputs, parameter: TensorParameter, desc: str) -> np.ndarray:
    return np.asarray(load_image(outputs.tensor_map(parameter, desc)).get_fdata())


def brain_mask(outputs: ScanOutputs) -> np.ndarray:
    return np.asarray(load_image(outputs.mask).get_fdata() > 0)


def test_an_isotropic_loss_gives_zero_fa_and_the_closed_form_md(outputs: ScanOutputs) -> None:
    """S = S0 exp(-b D): half of S0 at the target's b-value means FA = 0 and D = ln 2 / b."""
    mask = brain_mask(outputs)
    b0s = load_image(outputs.scan.image).get_fdata()[..., np.array(outputs.scan.bvals) < 50]
    # where b0 volumes agree: the mean of a log is not the log of the mean
    supported = find_supported_voxels(outputs.scan, mask)
    measured = supported & (np.ptp(b0s, axis=-1) < 0.2 * b0s.mean(-1))
    assert measured.sum() > 0.5 * mask.sum()
    assert map_values(outputs, "fa", "harmonized")[measured].max() < 0.02
    md = map_values(outputs, "md", "harmonized")[measured]
    np.testing.assert_allclose(md, np.log(2) / BVALUE, rtol=0.02)


@pytest.mark.parametrize("parameter", TENSOR_PARAMETERS)
@pytest.mark.parametrize("desc", ["input", "harmonized", "harmonizedDenoised"])
def test_maps_lie_on_the_scans_grid_and_are_zero_outside_the_brain(
    parameter: TensorParameter, desc: str, outputs: ScanOutputs
) -> None:
    scan_image = load_image(outputs.scan.image)
    image = load_image(outputs.tensor_map(parameter, desc))
    values = image.get_fdata()
    assert values.shape == scan_image.shape[:3]
    np.testing.assert_allclose(image.affine, scan_image.affine, atol=1e-5)
    assert not values[~brain_mask(outputs)].any()
    assert np.isfinite(values).all()


def test_the_table_holds_the_means_of_the_maps(outputs: ScanOutputs) -> None:
    rows = {row["dwi"]: row for row in read_tsv(outputs.qc_table())}
    assert list(rows) == ["input", "harmonized", "harmonizedDenoised"]
    mask = brain_mask(outputs)
    brain_volume_ml = mask.sum() * 8.0**3 / 1000  # voxels of 8 mm
    for desc, row in rows.items():
        for parameter in TENSOR_PARAMETERS:
            values = map_values(outputs, parameter, desc)[mask]
            assert float(row[f"{parameter}_mean"]) == pytest.approx(values.mean(), rel=1e-4)
            assert float(row[f"{parameter}_median"]) == pytest.approx(np.median(values), rel=1e-4)
        md = map_values(outputs, "md", desc)[mask]
        assert int(row["implausible_md"]) == (md > 3.2e-3).sum()
        assert float(row["brain_volume"]) == pytest.approx(brain_volume_ml, rel=1e-3)


@pytest.mark.parametrize(("parameter", "units"), [("fa", None), ("md", "mm^2/s")])
def test_sidecars_name_the_dwi_a_map_was_made_from(
    parameter: TensorParameter, units: str | None, outputs: ScanOutputs
) -> None:
    before = read_json(sidecar_path(outputs.tensor_map(parameter, "input")))
    after = read_json(sidecar_path(outputs.tensor_map(parameter, "harmonized")))
    assert before["Sources"] == ["bids:raw:sub-04/ses-ge/dwi/sub-04_ses-ge_dwi.nii.gz"]
    assert after["Sources"] == ["bids::sub-04/ses-ge/dwi/sub-04_ses-ge_desc-harmonized_dwi.nii.gz"]
    assert "Harmonization" in after
    assert "Harmonization" not in before
    assert before.get("Units") == units
    assert after.get("Units") == units
    assert before["Model"]["Parameters"] == {"FitMethod": "wls", "BValues": [1000.0]}
    assert after["Model"]["Parameters"]["BValues"] == [BVALUE]


def test_noise_of_the_target_is_in_the_comparable_maps_and_their_sidecars(
    scan: Scan, tmp_path: Path
) -> None:
    """All directions have the same signal, so that FA is that of noise alone."""
    model = constant_model(
        tmp_path / "model",
        scan.dataset,
        signals=(0.5,) * 3,
        source=scan.scanner_label,
        target_bvalue=BVALUE,
        noise=NOISE,
    )
    (job,), _ = make_harmonize_jobs(
        [scan], [model], options=HarmonizeOptions(), bids_dir=scan.dataset, root=tmp_path / "out"
    )
    write_harmonized_scan(job)
    mask = brain_mask(job.outputs)
    supported = find_supported_voxels(scan, mask)
    assert map_values(job.outputs, "fa", "harmonizedDenoised")[supported].mean() < 0.02
    assert map_values(job.outputs, "fa", "harmonized")[mask].mean() > 0.05
    comparable = read_json(sidecar_path(job.outputs.tensor_map("fa", "harmonized")))
    denoised = read_json(sidecar_path(job.outputs.tensor_map("fa", "harmonizedDenoised")))
    assert "compare it with the target scanner's own maps" in comparable["Description"]
    assert "for single scans" in denoised["Description"]
    noise = comparable["Harmonization"]["MeasurementNoise"]
    assert (noise["Level"], noise["DrawsOfMaps"], noise["InDWI"]) == (NOISE.level, 4, False)
    assert noise["Seed"] == noise_seed(load_scan(scan))
    record = read_json(job.outputs.dwi(".json"))["Harmonization"]
    assert comparable["Harmonization"].items() <= record.items()
    assert "Validation" in record.keys() - comparable["Harmonization"].keys()


def test_several_targets_do_not_overwrite_each_other(scan: Scan, tmp_path: Path) -> None:
    outputs_by_target = harmonize_to(scan, tmp_path, "Prisma", "Skyra")
    names = {outputs.tensor_map("fa", outputs.desc).name for outputs in outputs_by_target}
    names |= {outputs.tensor_map("fa", outputs.denoised_desc).name for outputs in outputs_by_target}
    assert {name.split("_desc-")[1] for name in names} == {
        "harmonizedToPrisma_dwimap.nii.gz",
        "harmonizedToPrismaDenoised_dwimap.nii.gz",
        "harmonizedToSkyra_dwimap.nii.gz",
        "harmonizedToSkyraDenoised_dwimap.nii.gz",
    }


def test_maps_use_what_was_measured_and_not_predicted_shells(scan: Scan, tmp_path: Path) -> None:
    """A predicted shell of half of S0 at b = 2500 would pull MD down from ln 2 / 1200."""
    md_maps = []
    for missing_signal in (None, 0.5):
        root = tmp_path / str(missing_signal)
        model = constant_model(
            root / "models" / "m",
            scan.dataset,
            signals=(0.5,) * 3,
            source=scan.scanner_label,
            target_bvalue=BVALUE,
            missing=missing_signal,
        )
        options = HarmonizeOptions(should_predict_missing=True)
        (job,), _ = make_harmonize_jobs(
            [scan], [model], options=options, bids_dir=scan.dataset, root=root
        )
        write_harmonized_scan(job)
        md_maps.append(map_values(job.outputs, "md", "harmonized"))
    np.testing.assert_array_equal(md_maps[0], md_maps[1])
