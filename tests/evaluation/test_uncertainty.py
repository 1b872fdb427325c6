from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.evaluation.uncertainty import calibrate_spread
from bids_shresnet.methods.linear import OrderGain
from bids_shresnet.outputs.model_folder import Model
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


def model(folder: Path, gains: Sequence[float] = GAINS) -> Model:
    """Fold n multiplies what it sees by the n-th gain."""
    made = constant_model(
        folder / "model",
        write_tree(folder / "bids", {}),
        fitted_as="order_gain",
        method="order_gain",
    )
    folds = []
    for fold, gain in zip(made.card.folds, gains, strict=False):
        harmonizer = OrderGain(np.full(6, gain, np.float32), np.zeros(6, np.float32))
        weights = write_harmonizer(made.folder / fold.weights.file, harmonizer)
        folds.append(replace(fold, weights=weights))
    return change_card(made, folds=tuple(folds))


def prepared(folder: Path, subject: str, made: TravellingSubject) -> PrepareJob:
    write_travelling_subject(folder / subject, made, {"inputs": ""})
    scan = make_scan(subject=subject)
    return PrepareJob(scan, scan, PairShells(SHELLS, SHELLS), folder / subject)


def same(seed: int, **noise: float) -> TravellingSubject:
    """A head that both scanners see alike."""
    return travelling(head(seed), 12, change=lambda patches: patches[:, 13], **noise)


@pytest.mark.parametrize(("subject", "gain"), [("01", 0.9), ("03", 1.3)])
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_spread_and_error_are_those_of_gains_in_closed_form(
    subject: str, gain: float, sigma: float, tmp_path: Path
) -> None:
    """Of a signal s the spread is s times that of the gains, the error s times the unseeing one's, noise taken off."""
    item = prepared(tmp_path, subject, same(1, sigma=sigma))
    found = calibrate_spread(model(tmp_path), [item], seed=0, device="cpu")
    assert found is not None
    assert len(found.groups) == 5
    expected = abs(gain - 1) / np.std(GAINS, ddof=1)
    for group in found.groups:
        assert group.error / group.spread == pytest.approx(
            expected, rel=0.02 if sigma == 0 else 0.3
        )
    if sigma == 0:
        assert found.rank_correlation > 0.99
    spreads = [group.spread for group in found.groups]
    assert spreads == sorted(spreads)


def test_each_subject_is_judged_by_the_network_that_never_saw_it(tmp_path: Path) -> None:
    """The one of fold 2 makes no error, so subject 02 alone has none."""
    only = calibrate_spread(
        model(tmp_path), [prepared(tmp_path, "02", same(1))], seed=0, device="cpu"
    )
    assert only is not None
    assert max(group.error for group in only.groups) < 2e-3
    assert min(group.spread for group in only.groups) > 0.05


def test_one_network_has_no_spread(tmp_path: Path) -> None:
    alone = model(tmp_path, GAINS[:1])
    assert (
        calibrate_spread(alone, [prepared(tmp_path, "01", same(1))], seed=0, device="cpu") is None
    )


def test_where_the_targets_noise_is_not_known_no_error_is(tmp_path: Path) -> None:
    item = prepared(tmp_path, "01", same(1, assumed_variance=float("nan")))
    assert calibrate_spread(model(tmp_path), [item], seed=0, device="cpu") is None


def test_networks_that_agree_everywhere_have_no_spread_to_tell_an_error(tmp_path: Path) -> None:
    item = prepared(tmp_path, "01", same(1))
    assert calibrate_spread(model(tmp_path, (1.0, 1.0, 1.0)), [item], seed=0, device="cpu") is None


def test_only_grey_and_white_matter_beside_a_source_voxel_is_asked(tmp_path: Path) -> None:
    """Everywhere else the target says something absurd, which would show."""
    plain = same(1)
    tissue = np.where(np.arange(len(plain.matched.tissue)) % 2, Tissue.WM, Tissue.CSF).astype(
        np.uint8
    )
    points = plain.matched.points.copy()
    points[::3] += 0.9  # mm, of voxels of 2 mm: 0.45 of a voxel
    wild = np.where(
        ((tissue == Tissue.CSF) | (np.arange(len(tissue)) % 3 == 0))[:, None],
        99,
        plain.matched.signal,
    )
    spoilt = replace(plain.matched, tissue=tissue, points=points, signal=wild.astype(np.float16))
    item = prepared(tmp_path, "02", replace(plain, matched=spoilt))
    found = calibrate_spread(model(tmp_path), [item], seed=0, device="cpu")
    assert found is not None
    assert max(group.error for group in found.groups) < 2e-3
