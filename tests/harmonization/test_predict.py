from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.harmonization.predict import check_prediction
from bids_shresnet.scans import Shell

FILE = Path("fold-01.safetensors")
SHELLS = (Shell(1000.0, 2), Shell(2000.0, 4))  # 6 and 15 coefficients


@pytest.mark.parametrize("count", [6, 20, 22, 42])
def test_a_prediction_has_exactly_the_coefficients_of_the_shells(count: int) -> None:
    check_prediction(FILE, np.zeros((3, 21), np.float32), SHELLS)
    with pytest.raises(BadInput, match=f"{FILE}: it predicts {count} coefficients, not 21"):
        check_prediction(FILE, np.zeros((3, count), np.float32), SHELLS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_refused(value: float) -> None:
    predicted = np.zeros((3, 21), np.float32)
    predicted[2, 20] = value
    with pytest.raises(BadInput, match=f"{FILE}: it predicts values that are not finite"):
        check_prediction(FILE, predicted, SHELLS)
