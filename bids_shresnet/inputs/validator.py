"""The official BIDS validator, for --validate-bids: it checks the dataset beyond its DWI."""

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

# From PyPI or conda-forge; this validator follows the schema of the specification
VALIDATOR_PROGRAM = "bids-validator-deno"
INVALID_FILE_REMEDY = "Correct it or, if it is meant to be so, list it in .bidsignore."


def run_bids_validator(dataset: Path) -> list[Finding]:
    """Return the errors that the validator finds, without its warnings.

    Raises
    ------
    UsageError
        If the validator is not installed.
    OSError
        If it ends without a result.
    """
    command = [_find_validator(), str(dataset), "--format", "json", "--ignoreWarnings"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(process.stdout)["issues"]
    except ValueError as error:
        ending = f"{VALIDATOR_PROGRAM} ended with {process.returncode} and without a result"
        msg = f"{ending}: {process.stderr.strip()}"
        raise OSError(msg) from error
    texts: Mapping[str, str] = report["codeMessages"]
    errors = (issue for issue in report["issues"] if issue["severity"] == "error")
    return [_finding_from_issue(issue, texts, dataset) for issue in errors]


def _find_validator() -> str:
    """Find the program in PATH or beside this Python."""
    search_path = [os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    program = shutil.which(VALIDATOR_PROGRAM, path=os.pathsep.join(search_path))
    if program is None:
        problem = f"--validate-bids needs {VALIDATOR_PROGRAM}, which is not installed"
        msg = f"{problem}: pip install {VALIDATOR_PROGRAM}"
        raise UsageError(msg)
    return program


def _finding_from_issue(
    issue: Mapping[str, Any], texts: Mapping[str, str], dataset: Path
) -> Finding:
    """Describe an issue by its file, its code and the first sentence of its text."""
    text = str(issue.get("issueMessage") or texts.get(issue["code"], ""))
    sentence = text.split(". ")[0].strip().rstrip(".")
    code = " ".join(issue[key] for key in ("code", "subCode") if issue.get(key))
    file = dataset / issue.get("location", "").strip("/")
    return Finding.error(file, f"{code}: {sentence}", INVALID_FILE_REMEDY)
