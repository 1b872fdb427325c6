from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.dry_run import measure_all

pytestmark = pytest.mark.slow


def test_a_study_fits_on_a_terminal_and_all_of_its_missing_files_are_in_the_tables(
    tmp_path: Path,
) -> None:
    lines = list(measure_all(tmp_path, 40, 14))
    assert len(lines) == 3
    for line in lines:
        match = re.search(r": (\S+) s of CPU, (\S+) s, (\d+) lines", line)
        assert match is not None
        assert 0 < float(match[1]) < 60
        assert 0 < int(match[3]) < 60
    assert lines[-1].endswith("28 of 28 files named")
