from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.diffusion.spatial.regional_power import match_regions
from bids_shresnet.evaluation.effects.known_effects import KNOWN_EFFECTS
from bids_shresnet.evaluation.effects.recovery import VoxelHarmonizer, measure_effects
from bids_shresnet.harmonization.apply_coefficients import Application, apply_coefficients
from bids_shresnet.methods.linear import OrderGain, PatchLinear
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.training.match_scans import RepresentedScan
from tests.evaluation.scaled_heads import evaluate, evaluate_job, exact_gain, scaled_heads
from tests.evaluation.tensor_heads import SIDE, experiment, head_scan

SHELLS = (Shell(1000.0, 4),)
COUNT = SHELLS[0].coefficient_count
NO_OFFSET = np.zeros(COUNT, np.float32)
NOISE = MeasurementNoise(level=0.03, direction_count=30, b0_count=1)
KEEP = VoxelHarmonizer(
    OrderGain(np.ones(COUNT, np.float32), NO_OFFSET),
    SHELLS,
    Application(method="order_gain", bvalues=(1000.0,)),
)


def averaging() -> VoxelHarmonizer:
    """A method that denoises: the mean of a patch."""
    weights = np.tile(np.eye(COUNT, dtype=np.float32) / 27, (27, 1))
    application = Application(method="patch_linear", bvalues=(1000.0,), noise=NOISE)
    return VoxelHarmonizer(PatchLinear(weights, NO_OFFSET), SHELLS, application)


def some_voxels() -> Bool[np.ndarray, "x y z"]:
    """A twentieth of the brain."""
    drawn = np.random.default_rng(1).uniform(size=(SIDE, SIDE, SIDE)) < 0.05
    return np.asarray(drawn & head_scan().mask)


@pytest.mark.parametrize("harmonize", [KEEP, averaging()], ids=["gain", "patches"])
def test_a_voxel_is_harmonized_as_it_is_in_the_whole_scan(harmonize: VoxelHarmonizer) -> None:
    scan = head_scan(sigma=0.02)
    voxels = some_voxels()
    representation = represent_source(scan.dwi, scan.mask, SHELLS)
    predicted = harmonize.predict(representation.image, scan.mask)
    whole = apply_coefficients(scan, representation, predicted, harmonize.application)
    expected = whole.fit_denoised_maps(scan.mask)
    [maps] = harmonize(scan, voxels, seed=1)
    values = maps.get("denoised", maps["comparable"])
    np.testing.assert_allclose(values[:, 0], expected.fa[voxels], atol=1e-6)
    np.testing.assert_allclose(values[:, 1], expected.md[voxels], rtol=1e-5)


class Regional(OrderGain):
    """A method that lets regional amplitudes follow the scan, and else predicts a usual signal."""

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        usual = represent_source(head_scan().dwi, head_scan().mask, SHELLS).image
        predicted = usual.coefficients[image.mask]
        return match_regions(predicted, image, [slice(1, 6)], np.zeros((1, 2)))


REGIONAL = Regional(np.ones(COUNT, np.float32), NO_OFFSET)


def test_changed_voxels_count_for_regional_amplitudes_as_in_the_whole_scan() -> None:
    scan = head_scan(sigma=0.01)
    image = represent_source(scan.dwi, scan.mask, SHELLS).image
    ball = scan.mask & (np.indices(scan.mask.shape) < SIDE // 2).all(axis=0)
    assert image.order_2_power is not None
    changed = np.where(ball[..., None], 0.5, 1).astype(np.float32) * image.order_2_power
    image = replace(image, order_2_power=changed)
    harmonize = VoxelHarmonizer(REGIONAL, SHELLS, KEEP.application)
    whole = REGIONAL.predict(image)[ball[image.mask]]
    some = harmonize.predict(image, ball).coefficients[ball]
    lengths = [np.linalg.norm(item[:, 1:6], axis=1).mean() for item in (some, whole)]
    assert lengths[0] / lengths[1] == pytest.approx(1, abs=0.02)


def test_comparable_maps_have_the_noise_of_their_seed() -> None:
    scan = head_scan(sigma=0.02)
    voxels = some_voxels()
    [first] = averaging()(scan, voxels, seed=1)
    [again] = averaging()(scan, voxels, seed=1)
    np.testing.assert_array_equal(first["comparable"], again["comparable"])
    [other] = averaging()(scan, voxels, seed=2)
    assert np.abs(first["comparable"] - other["comparable"])[:, 0].mean() > 1e-3
    np.testing.assert_array_equal(first["denoised"], other["denoised"])


def test_a_method_that_keeps_noise_has_no_denoised_maps() -> None:
    [maps] = KEEP(head_scan(), some_voxels(), seed=1)
    assert list(maps) == ["comparable"]


@pytest.mark.slow
def test_a_method_that_keeps_the_signal_recovers_every_effect() -> None:
    rows = [
        row
        for row in experiment(KEEP, sigma=0.01).measure(KNOWN_EFFECTS)
        if row.region == "changed"
    ]
    assert {row.effect for row in rows} == {effect.name for effect in KNOWN_EFFECTS}
    for row in rows:
        assert row.recovered == pytest.approx(1, abs=0.1)  # orders are smoothed before logarithms


@pytest.mark.slow
def test_the_mean_of_patches_recovers_less_at_the_edge_and_changes_voxels_beside_it() -> None:
    effect = next(effect for effect in KNOWN_EFFECTS if effect.name == "white_matter")
    rows = experiment(averaging(), sigma=0.01).measure([effect])
    shares = {row.region: row for row in rows if row.maps == "denoised"}
    assert 0.5 < shares["changed"].recovered < 0.95
    assert shares["unchanged"].found > 0


@pytest.mark.slow
def test_a_fold_is_evaluated_with_the_effects_in_its_held_out_subject(tmp_path: Path) -> None:
    job = evaluate_job(tmp_path, scaled_heads(), {"order_gain": exact_gain()})
    rows = evaluate(job).effects
    assert {(row.subject, row.fold, row.method) for row in rows} == {("01", 1, "order_gain")}
    changed = {(row.effect, row.quantity): row for row in rows if row.region == "changed"}
    assert 0.01 < changed["white_matter", "MD"].put_in < 0.03
    assert changed["white_matter", "MD"].recovered == pytest.approx(1, abs=0.2)
    assert changed["age", "FA"].recovered == pytest.approx(1, abs=0.2)


def test_a_subject_without_grey_and_white_matter_has_no_effects(tmp_path: Path) -> None:
    heads = scaled_heads()
    job = evaluate_job(tmp_path, heads, {"order_gain": exact_gain()})
    matched = heads["01"].matched
    nowhere = replace(matched, points=matched.points + 1000)
    source = RepresentedScan.load(job.sources["01"], job.shells)
    assert list(measure_effects(job, "01", nowhere, source)) == []
