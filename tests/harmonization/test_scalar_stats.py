from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Shaped

from bids_shresnet.diffusion.tensors import TensorMaps
from bids_shresnet.harmonization.scalar_stats import summarize_region, write_scalar_stats
from bids_shresnet.harmonization.tensor_outputs import MapPair, write_map_pair
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.images.nifti_writing import write_volume
from bids_shresnet.io.storage import read_json, read_tsv, write_tsv
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.regions import Parcellation, RegionMaps
from bids_shresnet.scans import Scan

RECORD = {"Role": "harmonized", "TargetScanner": "Prisma"}
FA = {1: 0.2, 2: 0.6}  # of two regions


@pytest.fixture(scope="module")
def shape(scans: dict[str, Scan]) -> tuple[int, int, int]:
    return load_scan(scans["04"]).dwi.shape


def write_image(scan: Scan, path: Path, values: Shaped[np.ndarray, "x y z"]) -> Path:
    write_volume(path, values, load_scan(scan).dwi.affine, scan.image)
    return path


def label_image(shape: tuple[int, int, int]) -> Shaped[np.ndarray, "x y z"]:
    """The first two planes are the regions 1 and 2."""
    labels = np.zeros(shape, np.uint8)
    labels[0] = 1
    labels[1] = 2
    return labels


@pytest.fixture
def outputs(scans: dict[str, Scan], shape: tuple[int, int, int], tmp_path: Path) -> ScanOutputs:
    """A scan with maps that are constant in each region, and with a parcellation."""
    scan = scans["04"]
    labels = label_image(shape)
    atlas = write_image(scan, tmp_path / "dseg.nii.gz", labels)
    regions = (Parcellation(atlas, {1: "CST", 2: "SLF"}, "JHU"),)
    outputs = ScanOutputs(replace(scan, regions=regions), tmp_path / "out")
    fa = np.select([labels == number for number in FA], list(FA.values()), 0).astype(np.float32)
    for desc, factor in {"input": 1.0, "harmonized": 0.5}.items():
        maps = TensorMaps(fa=np.float32(factor) * fa, md=fa * np.float32(1e-3))
        pair = MapPair(maps=maps, desc=desc, title="", source=scan, bvalues=(1000.0,))
        write_map_pair(outputs, pair, load_scan(scan).dwi.affine)
    return outputs


def test_a_table_has_the_means_of_each_region_and_map(outputs: ScanOutputs) -> None:
    assert write_scalar_stats(outputs, RECORD)
    for desc, factor in {"input": 1.0, "harmonized": 0.5}.items():
        rows = read_tsv(outputs.region_table("JHU", desc))
        means = {(row["region"], row["variable_name"]): float(row["mean"]) for row in rows}
        assert means == pytest.approx(
            {
                ("CST", "fa"): factor * FA[1],
                ("CST", "md"): FA[1] * 1e-3,
                ("SLF", "fa"): factor * FA[2],
                ("SLF", "md"): FA[2] * 1e-3,
            }
        )


def test_every_column_is_described_and_the_scan_is_named(outputs: ScanOutputs) -> None:
    write_scalar_stats(outputs, RECORD)
    description = read_json(outputs.region_table("JHU", "input", ".json"))
    assert set(read_tsv(outputs.region_table("JHU", "input"))[0]) <= set(description)
    record = description["Regions"]
    assert (record["Subject"], record["Scanner"]) == ("04", outputs.scan.scanner_label)
    assert (record["Segmentation"], record["Maps"], record["Role"]) == (
        "JHU",
        "input",
        "harmonized",
    )


def test_a_table_is_made_anew_only_if_a_region_or_a_map_has_changed(
    outputs: ScanOutputs, shape: tuple[int, int, int]
) -> None:
    assert write_scalar_stats(outputs, RECORD)
    assert not write_scalar_stats(outputs, RECORD)
    (regions,) = outputs.scan.regions
    write_image(outputs.scan, regions.files[0], label_image(shape)[::-1])
    assert write_scalar_stats(outputs, RECORD)
    outputs.region_table("JHU", "input").unlink()
    assert write_scalar_stats(outputs, RECORD)
    assert not write_scalar_stats(outputs, RECORD)


def test_the_tables_of_regions_that_are_gone_are_removed(outputs: ScanOutputs) -> None:
    write_scalar_stats(outputs, RECORD)
    unsegmented = replace(outputs, scan=replace(outputs.scan, regions=()))
    others = outputs.region_table("JHU", "harmonizedToOther")
    write_tsv(others, [{"region": "CST"}])
    write_scalar_stats(unsegmented, RECORD)
    assert list(outputs.mask.parent.glob("*_scalarstats.*")) == [others]


def test_probabilities_weigh_the_mean(outputs: ScanOutputs, shape: tuple[int, int, int]) -> None:
    weights = np.zeros(shape, np.float32)
    weights[0] = 0.25
    weights[1] = 0.75
    path = write_image(outputs.scan, outputs.root / "probseg.nii.gz", weights)
    scan = replace(outputs.scan, regions=(RegionMaps({"both": path}, "bundles"),))
    write_scalar_stats(replace(outputs, scan=scan), RECORD)
    row = read_tsv(outputs.region_table("bundles", "input"))[0]
    assert float(row["mean"]) == pytest.approx((FA[1] + FA[2]) / 2, rel=1e-5)
    assert float(row["weighted_mean"]) == pytest.approx((FA[1] + 3 * FA[2]) / 4, rel=1e-5)


def test_voxels_without_a_value_do_not_count_in_masked_numbers() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 1, (4, 4, 4))
    values[0] = 0
    weights = np.ones((4, 4, 4))
    numbers = summarize_region(values, weights, is_weighted=False)
    assert numbers["zero_proportion"] == 0.25
    assert numbers["mean"] == pytest.approx(values.mean(), rel=1e-5)
    assert numbers["stdev"] == pytest.approx(values.std(), rel=1e-5)
    assert numbers["masked_mean"] == pytest.approx(values[1:].mean(), rel=1e-5)
    assert numbers["masked_median"] == pytest.approx(np.median(values[1:]), rel=1e-5)


def test_a_region_outside_of_the_brain_has_no_mean() -> None:
    empty = np.zeros((2, 2, 2))
    assert summarize_region(empty, np.ones_like(empty), is_weighted=True) == {}
