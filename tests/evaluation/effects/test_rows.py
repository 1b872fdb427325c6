from __future__ import annotations

from dataclasses import replace

import pytest

from bids_shresnet.evaluation.effects.rows import EffectRow, summarize_effects

ROW = EffectRow(
    subject="01",
    fold=1,
    method="shresnet",
    tissue="WM",
    quantity="FA",
    effect="tract",
    maps="comparable",
    region="changed",
    voxels=100,
    put_in=-0.05,
    found=-0.04,
    beyond_noise=0.3,
)


def test_the_share_recovered_is_the_change_found_over_the_change_put_in() -> None:
    assert ROW.recovered == pytest.approx(0.8)


def test_the_summary_is_the_mean_over_subjects_with_false_positives_beside_the_effect() -> None:
    rows = [
        replace(ROW, subject=str(n), found=-0.05 * share) for n, share in enumerate((0.8, 1, 0.9))
    ]
    beside = [replace(row, region="unchanged", put_in=0.0, beyond_noise=0.02) for row in rows[:2]]
    (summary,) = summarize_effects([*rows, *beside])
    assert summary.n == 3
    assert summary.recovered == pytest.approx(0.9)
    assert summary.put_in == pytest.approx(-0.05)
    assert summary.false_positives == pytest.approx(0.02)
    assert summary.interval is not None
    assert summary.interval[0] < 0.9 < summary.interval[1]


def test_of_two_subjects_there_is_no_interval_and_without_voxels_beside_no_false_positives() -> (
    None
):
    (summary,) = summarize_effects([ROW, replace(ROW, subject="02")])
    assert summary.interval is None
    assert summary.false_positives is None


def test_effects_maps_tissues_and_quantities_are_summarized_apart() -> None:
    others = [
        replace(ROW, effect="oedema"),
        replace(ROW, maps="denoised"),
        replace(ROW, tissue="GM"),
        replace(ROW, quantity="MD"),
    ]
    assert len(summarize_effects([ROW, *others])) == 5
