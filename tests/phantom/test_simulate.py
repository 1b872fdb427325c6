from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.phantom import simulate
from bids_shresnet.phantom.head import PhantomSession, draw_session
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.phantom.simulate import PhantomConfig, main, write_phantom
from tests.images import load_image

TINY = PhantomConfig(subjects=1, apply_only=1, voxel_mm=8.0, directions=12)
VALIDATOR = Path(sys.executable).parent / "bids-validator-deno"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom")
    write_phantom(out, TINY)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_dataset_is_valid_bids(phantom: Path) -> None:
    command = [str(VALIDATOR), str(phantom / "bids"), "--format", "json", "--ignoreWarnings"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)
    assert report["issues"]["issues"] == []
    assert sorted(report["summary"]["subjects"]) == ["01", "02"]


def test_equal_seeds_give_equal_bytes_and_others_do_not(phantom: Path, tmp_path: Path) -> None:
    write_phantom(tmp_path / "same", TINY)
    assert contents(tmp_path / "same") == contents(phantom)
    write_phantom(tmp_path / "other", replace(TINY, subjects=0, seed=2))
    name = "bids/sub-01/ses-ge/dwi/sub-01_ses-ge_dwi.nii.gz"
    assert contents(tmp_path / "other")[name] != contents(phantom)[name]


def test_another_seed_gives_another_head_even_in_the_same_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The truth has no noise, and its grid and the head's pose are drawn alike here."""

    def draw_alike(
        scanner: PhantomScanner, voxel_mm: float, _: np.random.Generator
    ) -> PhantomSession:
        return draw_session(scanner, voxel_mm, np.random.default_rng(0))

    monkeypatch.setattr(simulate, "draw_session", draw_alike)
    maps = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        write_phantom(out, PhantomConfig(0, 1, voxel_mm=16.0, directions=6, seed=seed))
        maps.append(load_image(out / "truth/sub-01/ses-ge_to-prisma_MD.nii.gz").get_fdata())
    assert not np.allclose(maps[0], maps[1], rtol=1e-3, atol=0)


def test_scanners_differ_in_grid_table_and_sidecar(phantom: Path) -> None:
    folder = phantom / "bids" / "sub-01"
    ge = folder / "ses-ge" / "dwi" / "sub-01_ses-ge_dwi"
    prisma = folder / "ses-prisma" / "dwi" / "sub-01_ses-prisma_dwi"
    images = [load_image(f"{stem}.nii.gz") for stem in (ge, prisma)]
    assert all(nib.aff2axcodes(image.affine) == ("L", "A", "S") for image in images)
    assert all(image.get_data_dtype() == np.int16 for image in images)
    tilts = [nib.affines.obliquity(image.affine).max() for image in images]
    assert tilts[0] < 1e-4
    assert np.degrees(tilts[1]) > 5
    bvals = [np.loadtxt(f"{stem}.bval") for stem in (ge, prisma)]
    assert [int((b < 50).sum()) for b in bvals] == [2, 4]
    assert [int((b > 50).sum()) for b in bvals] == [12, 12]
    sidecars = [json.loads(Path(f"{stem}.json").read_text()) for stem in (ge, prisma)]
    triple = ("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber")
    assert all(sidecars[0][key] != sidecars[1][key] for key in triple)
    assert [s["RepetitionTime"] for s in sidecars] == pytest.approx(
        [i.header.get_zooms()[3] for i in images]
    )


def test_truth_lies_beside_the_dataset_on_the_grid_and_directions_of_every_source_scan(
    phantom: Path,
) -> None:
    assert not list((phantom / "bids").rglob("*truth*"))
    for subject in ("sub-01", "sub-02"):
        source = phantom / f"bids/{subject}/ses-ge/dwi/{subject}_ses-ge_dwi"
        truth = phantom / f"truth/{subject}/ses-ge_to-prisma_dwi"
        images = [load_image(f"{stem}.nii.gz") for stem in (source, truth)]
        assert images[0].shape == images[1].shape
        np.testing.assert_allclose(images[0].affine, images[1].affine, atol=1e-4)
        assert Path(f"{source}.bvec").read_text() == Path(f"{truth}.bvec").read_text()
        assert truth.with_name("ses-ge_to-prisma_MD.nii.gz").exists()
        fa = load_image(truth.with_name("ses-ge_to-prisma_FA.nii.gz")).get_fdata()
        tissue = load_image(truth.with_name("ses-ge_to-prisma_tissue.nii.gz")).get_fdata()
        mask = load_image(truth.with_name("ses-ge_to-prisma_mask.nii.gz")).get_fdata() > 0
        assert set(np.unique(tissue)) == {0, 1, 2}
        assert mask[tissue > 0].all()
        assert fa[tissue == 2].mean() > 3 * fa[tissue == 1].mean()


def test_subjects_that_do_not_travel_have_the_source_scan_only(phantom: Path) -> None:
    folders = sorted((phantom / "bids").glob("sub-*/ses-*"))
    names = [str(folder.relative_to(phantom / "bids")) for folder in folders]
    assert names == ["sub-01/ses-ge", "sub-01/ses-prisma", "sub-02/ses-ge"]


def test_no_truth_is_written_when_not_wanted(tmp_path: Path) -> None:
    flags = ["--subjects=0", "--voxel-mm=16", "--directions=6", "--no-truth"]
    assert main([str(tmp_path), *flags]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["bids"]


@pytest.mark.parametrize("flag", ["--directions=5", "--voxel-mm=0.1", "--subjects=-1"])
def test_impossible_settings_are_a_usage_error_that_names_the_flag(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), flag]) == 64
    assert flag.split("=")[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
