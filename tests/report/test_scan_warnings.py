from __future__ import annotations

import re
from typing import Any

import pytest

from bids_shresnet.report.scan_warnings import scan_warnings
from tests.report.test_subject_page import scan_report


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        (
            {"Novelty": {"MarkedFraction": 0.2, "LeftUnharmonized": True}},
            "20.0 % of the brain .* left unharmonized",
        ),
        (
            {"ProtocolDifferences": ["3 b=0 volumes; the model was trained on 1"]},
            "differs from those of the training. 3 b=0 volumes; .* on 1.",
        ),
        ({"ClippedSignal": 0.05}, "5.0 % of S/S0 was outside"),
        ({"PredictedShells": [{"BValue": 2500.0}]}, "b = 2500 s/mm² are predictions"),
        ({}, r"the error \(NMSE\) became larger in FA, grey matter \(0.01 to 0.02\)"),
    ],
)
def test_what_a_reader_must_know_is_a_warning(changes: dict[str, Any], pattern: str) -> None:
    warnings = scan_warnings(scan_report(**changes))
    assert any(re.search(pattern, warning) for warning in warnings)


def test_a_good_scan_has_no_warning() -> None:
    assert scan_warnings(scan_report(HeldOutErrors={})) == []
