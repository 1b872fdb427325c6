"""The official BIDS validator, for those who want a dataset to be valid as a whole and not only what the app uses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_shresnet.errors import Finding, UsageError

VALIDATOR_PROGRAM = "bids-validator-deno"  # of PyPI and conda-forge; the program of this name follows the specification's schema
INVALID_FILE_REMEDY = "Correct it or, if it is meant to be so, list it in .bidsignore."


def run_bids_validator(dataset: Path) -> list[Finding]:
    """Return the validator's errors; its warnings are not asked for.

    Raises
    ------
    UsageError
        If the validator is not installed.
    OSError
        If it ends without a result.
    """
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    program = shutil.which(VALIDATOR_PROGRAM, path=places)
    if program is None:
        msg = f"--validate-bids needs {VALIDATOR_PROGRAM}, which is not installed: pip install {VALIDATOR_PROGRAM}"
        raise UsageError(msg)
    command = [program, str(dataset), "--format", "json", "--ignoreWarnings"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(said.stdout)["issues"]
    except ValueError as error:
        msg = f"{VALIDATOR_PROGRAM} ended with {said.returncode} and without a result: {said.stderr.strip()}"
        raise OSError(msg) from error
    texts: Mapping[str, str] = found["codeMessages"]
    return [
        _finding_from_issue(issue, texts, dataset)
        for issue in found["issues"]
        if issue["severity"] == "error"
    ]


def _finding_from_issue(
    issue: Mapping[str, Any], texts: Mapping[str, str], dataset: Path
) -> Finding:
    """Name the file, and say in one sentence what is wrong with it."""
    text = (
        str(issue.get("issueMessage") or texts.get(issue["code"], ""))
        .split(". ")[0]
        .strip()
        .rstrip(".")
    )
    code = " ".join(issue[key] for key in ("code", "subCode") if issue.get(key))
    return Finding(
        "error",
        str(dataset / issue.get("location", "").strip("/")),
        f"{code}: {text}",
        INVALID_FILE_REMEDY,
    )
