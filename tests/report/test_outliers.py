from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.report.outliers import find_outliers


def test_a_value_far_from_the_median_is_an_outlier_however_many_scans_there_are() -> None:
    rng = np.random.default_rng(0)
    values = [*rng.normal(0.45, 0.01, 200), 0.6]
    marks = find_outliers(values)
    assert marks[-1]
    assert np.mean(marks[:-1]) < 0.01


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1, 9.0], [1.0] * 9 + [2.0], [np.nan] * 9])
def test_few_or_equal_or_unknown_values_have_no_outlier(values: list[float]) -> None:
    assert not any(find_outliers(values))
