"""Nothing that nobody asked for: no network, and no shell that reads text of a dataset."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import GE, PRISMA, Series, write_tree
from tests.sockets import watch_network

ROOT = Path(__file__).parent.parent
SHELLS = {  # functions that give a text to a shell, or run it as code
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("eval", "exec", "compile", "pickle.load", "pickle.loads", "yaml.load"),
}
TRAPS = ("$(touch PWNED)", "`touch PWNED`", "; touch PWNED;", "| touch PWNED", "'\"%s%n<b>&")
# Runs the app and prints what it started; an audit hook sees calls by any library
WATCHED_RUN = """
import sys
started = []
def record(event, arguments):
    if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn"):
        started.append(f"{event} {arguments}")
from bids_shresnet.cli.app import main
sys.addaudithook(record)
code = main(sys.argv[1:])
print("started:", *started, sep="")
"""


def test_the_watch_sees_an_attempt_to_connect() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with watch_network() as events, socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port))
    (event,) = events
    assert event.startswith("socket.connect ")


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Name and node of every call in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def dangers(path: Path) -> list[str]:
    """Calls of a shell, in the form `file:line: function`."""
    found = []
    for name, call in calls(path):
        is_shell = any(
            keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
            for keyword in call.keywords
        )
        if name in SHELLS or is_shell:
            found.append(f"{path.name}:{call.lineno}: {name}")
    return found


def test_no_module_gives_text_to_a_shell_or_runs_it(tmp_path: Path) -> None:
    modules = sorted((ROOT / "bids_shresnet").rglob("*.py"))
    assert [danger for module in modules for danger in dangers(module)] == []
    (tmp_path / "bad.py").write_text('subprocess.run(x, shell=True)\nos.system("ls")\n')
    assert len(dangers(tmp_path / "bad.py")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("trap", TRAPS)
def test_commands_in_names_and_values_of_a_dataset_are_text(trap: str, tmp_path: Path) -> None:
    name = trap.replace("/", "")
    tree: dict[str, Any] = {
        f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi": Series(
            sidecar=sidecar | {"InstitutionName": trap, "SoftwareVersions": trap}
        )
        for subject in ("01", "02", "03")
        for session, sidecar in (("ge", GE), ("prisma", PRISMA))
    }
    tree |= {
        f"sub-{name}/dwi/sub-{name}_dwi": Series(sidecar=GE | {"DeviceSerialNumber": trap}),
        f"sub-01/ses-ge/dwi/sub-01_ses-ge_acq-{name}_dwi": Series(sidecar=GE),
        "dataset_description.json": {"Name": trap, "BIDSVersion": "1.10.0", "Authors": [trap]},
        "participants.tsv": [["participant_id", "scanner"], ["sub-01", trap], [trap, trap]],
    }
    root = write_tree(tmp_path / f"data {name}", tree)
    command = [str(root), str(tmp_path / f"out {name}"), "participant", "--dry-run"]
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED_RUN, *command, "--nprocs", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    # Python asks a program for the name of the processor
    started = ended.stdout.partition("started:")[2]
    assert started.replace("subprocess.Popen ('uname', ['uname', '-p'], None, None)", "") == "\n"
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.rglob("PWNED"))
