from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.evaluation.uncertainty import calibrate_spread
from bids_shresnet.methods.linear import OrderGain
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.model.validation import SpreadCalibration
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Tissue
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import write_tree
from tests.factories import make_scan
from tests.methods.heads import SHELLS, head, travelling
from tests.models import change_card, constant_model, write_harmonizer

GAINS = (0.9, 1.0, 1.3)  # of the networks of three folds; the target is 1
VOXEL_OFFSET = 0.9  # mm, 0.45 of a voxel
ABSURD_SIGNAL = 99


def gain_model(folder: Path, gains: Sequence[float] = GAINS) -> Model:
    """Model whose fold n multiplies its input by the n-th gain."""
    dataset = write_tree(folder / "bids", {})
    constant = constant_model(
        folder / "model", dataset, fitted_as="order_gain", method="order_gain"
    )
    folds = []
    for fold, gain in zip(constant.card.folds, gains, strict=False):
        harmonizer = OrderGain(np.full(6, gain, np.float32), np.zeros(6, np.float32))
        weights = write_harmonizer(constant.folder / fold.weights.file, harmonizer)
        folds.append(replace(fold, weights=weights))
    return change_card(constant, folds=tuple(folds))


def same_on_both(seed: int, **noise: float) -> TravellingSubject:
    """Head that both scanners measure alike."""
    return travelling(head(seed), 12, change=lambda patches: patches[:, 13], **noise)


def calibrate(
    folder: Path, label: str, subject: TravellingSubject, gains: Sequence[float] = GAINS
) -> SpreadCalibration | None:
    """Calibrate the spread of networks with these gains on one subject."""
    write_travelling_subject(folder / label, subject, {"inputs": ""})
    scan = make_scan(subject=label)
    job = PrepareJob(scan, scan, PairShells(SHELLS, SHELLS), folder / label)
    return calibrate_spread(gain_model(folder, gains), [job], seed=0, device="cpu")


@pytest.mark.parametrize(("label", "gain"), [("01", 0.9), ("03", 1.3)])
@pytest.mark.parametrize(("sigma", "tolerance"), [(0.0, 0.02), (0.05, 0.3)])
def test_spread_and_error_are_those_of_gains_in_closed_form(
    label: str, gain: float, sigma: float, tolerance: float, tmp_path: Path
) -> None:
    """For a signal s, the spread is s times that of the gains.

    The error is s times that of the network that held the subject out, without the noise.
    """
    calibration = calibrate(tmp_path, label, same_on_both(1, sigma=sigma))
    assert calibration is not None
    assert len(calibration.groups) == 5
    spreads = [group.spread for group in calibration.groups]
    assert spreads == sorted(spreads)
    expected = abs(gain - 1) / np.std(GAINS, ddof=1)
    for group in calibration.groups:
        assert group.error / group.spread == pytest.approx(expected, rel=tolerance)


def test_without_noise_spread_and_error_have_the_same_ranks(tmp_path: Path) -> None:
    calibration = calibrate(tmp_path, "01", same_on_both(1))
    assert calibration is not None
    assert calibration.rank_correlation > 0.99


def test_each_subject_is_evaluated_by_the_network_that_held_it_out(tmp_path: Path) -> None:
    """The network of fold 2 makes no error, so subject 02 alone has none."""
    calibration = calibrate(tmp_path, "02", same_on_both(1))
    assert calibration is not None
    assert max(group.error for group in calibration.groups) < 2e-3
    assert min(group.spread for group in calibration.groups) > 0.05


def test_one_network_has_no_spread(tmp_path: Path) -> None:
    assert calibrate(tmp_path, "01", same_on_both(1), GAINS[:1]) is None


def test_networks_that_agree_everywhere_have_no_spread(tmp_path: Path) -> None:
    assert calibrate(tmp_path, "01", same_on_both(1), (1.0, 1.0, 1.0)) is None


def test_without_the_targets_noise_the_spread_is_not_calibrated(tmp_path: Path) -> None:
    subject = same_on_both(1, assumed_variance=float("nan"))
    assert calibrate(tmp_path, "01", subject) is None


def test_only_grey_and_white_matter_close_to_a_source_voxel_is_used(tmp_path: Path) -> None:
    """The target's signal is absurd everywhere else, which would show."""
    subject = same_on_both(1)
    matched = subject.matched
    rows = np.arange(len(matched.tissue))
    is_fluid = rows % 2 == 0
    is_far = rows % 3 == 0
    points = matched.points.copy()
    points[is_far] += VOXEL_OFFSET
    signal = np.where((is_fluid | is_far)[:, None], ABSURD_SIGNAL, matched.signal)
    distorted = replace(
        matched,
        tissue=np.where(is_fluid, Tissue.CSF, Tissue.WM).astype(np.uint8),
        points=points,
        signal=signal.astype(np.float16),
    )
    calibration = calibrate(tmp_path, "02", replace(subject, matched=distorted))
    assert calibration is not None
    assert max(group.error for group in calibration.groups) < 2e-3
