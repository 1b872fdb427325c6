from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from bids_shresnet.files.agreement import Compared, agreement, agreement_figure


def test_bias_spread_and_correlation_of_a_line_are_known() -> None:
    target = np.array([1.0, 2.0, 3.0, 4.0])
    found = agreement(2 * target, target)  # the difference is the target itself
    assert (found.bias, found.spread, found.correlation) == pytest.approx((2.5, np.sqrt(1.25), 1))


def test_what_does_not_vary_correlates_with_nothing() -> None:
    assert agreement(np.ones(3), np.arange(3.0)).correlation == 0


def test_the_figure_is_the_same_every_time_and_has_a_column_a_region_and_time() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 1, 500).astype(np.float32)
    scans = {"before": target + 0.1, "after": target}
    one = Compared("White matter", scans, target)
    first, second = (agreement_figure([one, one], "FA", "", "Caption.") for _ in range(2))
    assert first == second
    assert "White matter" in first.alt
    assert imread(BytesIO(first.png)).shape[1] > 1500
    assert agreement_figure([one], "FA", "", "Caption.").png != first.png


def test_nothing_to_compare_is_refused() -> None:
    empty = Compared("White matter", {"before": np.zeros(0)}, np.zeros(0))
    for compared in ([], [empty]):
        with pytest.raises(ValueError, match="nothing to compare"):
            agreement_figure(compared, "FA", "", "")
