from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "measure.py"
DENSE = {
    "nested comprehensions": "a = [[y for y in x] for x in ()]\n",
    "tuples of right-hand sides": "a, b = 1, 2\n",
    "generators unpacked into names": "a, b = (x for x in (1, 2))\n",
    "lines over 100 characters": f"a = {'1' * 100}\n",
    "functions over 15 lines": "def f():\n" + "    pass\n" * 15,
}
PLAIN = 'def f():\n    """Explain."""\n' + "    pass\n" * 14 + "\n\na, b = f()\n"


def measure(folder: Path, code: str) -> dict[str, Any]:
    """Return the measures of a package with one module, which also has a function."""
    (folder / "module.py").write_text(f"def g(): pass\n{code}")
    measures: dict[str, Any] = runpy.run_path(str(SCRIPT))["measure"](folder)[0]
    return measures


@pytest.mark.parametrize("kind", DENSE)
def test_dense_code_is_counted_by_its_kind(kind: str, tmp_path: Path) -> None:
    measures = measure(tmp_path, DENSE[kind])
    assert {name: measures[name] for name in DENSE} == {name: name == kind for name in DENSE}


def test_plain_code_is_not_counted(tmp_path: Path) -> None:
    measures = measure(tmp_path, PLAIN)
    assert measures["function lines, longest"] == 15  # without the docstring
    assert not any(measures[name] for name in DENSE)


@pytest.mark.parametrize(("lines", "code"), [(300, 0), (301, 1)])
def test_the_check_fails_above_a_limit(
    lines: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module.py").write_text("def f(): pass\n" * lines)
    monkeypatch.setattr(sys, "argv", ["measure.py", "--check", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == code
