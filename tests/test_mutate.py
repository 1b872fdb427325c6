from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.mutate import Change, ListError, check_changes, read_changes

PACKAGES = Path(__file__).parent.parent / "bids_shresnet"
CODE = "def double(x):\n    return 2 * x\n"
TRY = """
import sys
from pathlib import Path
from scripts.mutate import Change, format_table, try_changes
changes = [Change(test, "one", "one.py", "2 *", "3 *", (test,)) for test in sys.argv[2:]]
print(format_table(try_changes(changes, 300, source=Path(sys.argv[1]), libraries=())))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A package of one function, and two tests of which one looks at it."""
    (tmp_path / "bids_shresnet").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "bids_shresnet/__init__.py").touch()
    (tmp_path / "bids_shresnet/one.py").write_text(CODE)
    test = "from bids_shresnet.one import double\ndef test(): assert double({}) == {}\n"
    (tmp_path / "tests/test_good.py").write_text(test.format(2, 4))
    (tmp_path / "tests/test_weak.py").write_text(test.format(0, 0))
    (tmp_path / "tests/test_wrong.py").write_text(test.format(2, 5))
    return tmp_path


def change(test: str, **fields: str) -> Change:
    values = {"file": "one.py", "old": "2 *", "new": "3 *"} | fields
    return Change(name=f"by {test}", package="one", tests=(test,), **values)


def try_in_a_process(root: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Try the change once for each test, in a process that has not loaded the package."""
    return subprocess.run(
        [sys.executable, "-c", TRY, str(root), *tests],
        cwd=PACKAGES.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_change_is_caught_by_a_test_that_fails_and_survives_one_that_does_not(root: Path) -> None:
    output = try_in_a_process(root, "test_good.py", "test_weak.py").stdout
    assert re.findall(r"^\w+", output, re.MULTILINE)[:2] == ["caught", "SURVIVED"]
    assert "| one | 2 | 1 |" in output
    assert (root / "bids_shresnet/one.py").read_text() == CODE


@pytest.mark.slow
def test_a_test_that_fails_anyway_catches_nothing(root: Path) -> None:
    ended = try_in_a_process(root, "test_wrong.py")
    assert "does not pass without any change" in ended.stderr
    assert ended.returncode


@pytest.mark.parametrize(
    "wrong",
    [
        change("test_good.py", old="4 *"),
        change("test_good.py", new="2 *"),
        change("test_good.py", old=" "),
        change("test_good.py", file="two.py"),
        change("test_missing.py"),
    ],
    ids=["not there", "no change", "several times", "no file", "no test"],
)
def test_a_change_that_does_not_fit_the_source_or_the_tests_is_an_error(
    wrong: Change, root: Path
) -> None:
    check_changes([change("test_good.py"), change("test_weak.py::test")], root)
    with pytest.raises(ListError, match=r"by test_"):
        check_changes([wrong], root)


def test_the_lists_change_every_package_in_at_least_150_places() -> None:
    changes = read_changes()
    check_changes(changes)
    assert len(changes) >= 150
    assert len({item.name for item in changes}) == len(changes)
    packages = {path.parent.name for path in PACKAGES.glob("*/__init__.py")}
    assert packages <= {item.file.split("/")[0] for item in changes}
