from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.io.disk import unwritable_reason


def test_a_folder_that_does_not_exist_can_be_made_in_one_that_does(tmp_path: Path) -> None:
    assert unwritable_reason(tmp_path / "a/b") == ""
    (tmp_path / "file").write_text("")
    assert "no folder" in unwritable_reason(tmp_path / "file/out")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="not Linux")
def test_nobody_can_write_where_the_system_shows_itself_not_even_root() -> None:
    assert "belongs to the system" in unwritable_reason(Path("/proc/out"))
