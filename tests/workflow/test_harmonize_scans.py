from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bids_shresnet.outputs.runs.run_log import ScanStatus
from bids_shresnet.pairs import NOT_REQUESTED
from bids_shresnet.workflow.harmonize_scans import log_summary


def test_subjects_that_nobody_asked_for_have_no_line_but_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    reason = f"{NOT_REQUESTED} (--participant-label)"
    others = [ScanStatus(f"{n:02}", "", f"sub-{n:02}", "excluded", reason) for n in range(2, 9)]
    log_summary([ScanStatus("01", "", "sub-01_dwi", "done"), *others], [], Path("out"))
    assert caplog.messages == [
        "sub-01: sub-01_dwi done",
        "models: ; scans: 1 done, 7 excluded; results: out",
    ]
