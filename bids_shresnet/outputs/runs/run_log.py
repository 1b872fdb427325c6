"""The folder of a run in `logs/`: its settings, its log, its findings and the status of each scan.

Every file that is not about one output is named after the run, so parallel jobs never share one.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import write_json, write_text
from bids_shresnet.outputs.described_tables import write_described_table
from bids_shresnet.outputs.runs.provenance import write_provenance
from bids_shresnet.runtime.logs import APP_LOGGER, LONG_FORMAT

CONFIG_FILE = "config.json"
LOG_FILE = "run.log"
STATUS_TSV = "status.tsv"
FINDINGS_TSV = "findings.tsv"
CRASH_FILE = "crash_{}.txt"  # {}: name of the scan

Status = Literal["done", "up to date", "excluded", "failed"]


@dataclass(frozen=True)
class ScanStatus:
    """Result of a run for one scan.

    Attributes
    ----------
    file
        The scan's file, relative to its dataset.
    status
        `done`, `up to date` (complete from an earlier run), `excluded` or `failed`.
    reason
        Why it was excluded or failed.
    scanner
        Label of its scanner; empty if unknown.
    role
        `harmonized`, or `target` for a scan of the target scanner, which stays as it is; empty if
        the scan was not worked on.
    """

    subject: str
    session: str
    file: str
    status: Status
    reason: str = ""
    scanner: str = ""
    role: str = ""


@dataclass(frozen=True)
class Run:
    """A run of the app in progress.

    Attributes
    ----------
    root
        The output dataset.
    name
        `YYYYmmdd-HHMMSS_<uuid4>`, in UTC.
    command
        As typed, with the user's home folder as `~`.
    start_time
        In UTC.
    log_handler
        Writes run.log.
    rows
        Scans that ended; see `record_status`.
    """

    root: Path
    name: str
    command: str
    start_time: datetime
    log_handler: logging.Handler
    rows: list[ScanStatus] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Folder of this run's log, settings and status."""
        return run_folder(self.root, self.name)


def run_folder(root: Path, run_name: str) -> Path:
    """Name the folder of a run."""
    return root / "logs" / run_name


def start_run(root: Path, config: Mapping[str, Any], command: Sequence[str]) -> Run:
    """Open the folder of a run: config.json, from which it can be repeated, and run.log.

    Parameters
    ----------
    root
        The output dataset, made by `prepare_root`.
    config
        The settings as plain JSON.
    command
        The command line, word by word.
    """
    start_time = datetime.now(UTC)
    name = f"{start_time:%Y%m%d-%H%M%S}_{uuid4()}"
    folder = run_folder(root, name)
    write_json(folder / CONFIG_FILE, config)
    run = Run(
        root=root,
        name=name,
        command=_hide_home(shlex.join(command)),
        start_time=start_time,
        log_handler=_open_log(folder / LOG_FILE),
    )
    _write_provenance(run, end_time=None)
    return run


def write_findings(run: Run, findings: Sequence[Finding]) -> None:
    """Write the findings about the dataset into findings.tsv of the run."""
    rows = [asdict(finding) for finding in findings]
    write_described_table(
        run.folder / FINDINGS_TSV, rows, [field.name for field in fields(Finding)]
    )


def write_crash_report(run: Run, scan_name: str, traceback: str) -> None:
    """Write the traceback of a failed scan into the folder of the run."""
    write_text(run.folder / CRASH_FILE.format(scan_name), _hide_home(traceback))


def record_status(run: Run, rows: Iterable[ScanStatus]) -> None:
    """Add scans that ended to status.tsv, which is then complete even if the run is killed."""
    run.rows.extend(rows)
    columns = [column.name for column in fields(ScanStatus)]
    write_described_table(run.folder / STATUS_TSV, [asdict(row) for row in run.rows], columns)


def finish_run(run: Run, rows: Iterable[ScanStatus] = ()) -> None:
    """Close a run: add the last scans to status.tsv, and the end to the provenance in prov/."""
    APP_LOGGER.removeHandler(run.log_handler)
    run.log_handler.close()
    record_status(run, rows)
    _write_provenance(run, end_time=datetime.now(UTC))


def _write_provenance(run: Run, *, end_time: datetime | None) -> None:
    write_provenance(
        run.root,
        run.name,
        command=run.command,
        start_time=run.start_time,
        end_time=end_time,
    )


def _open_log(file: Path) -> logging.Handler:
    """Write the messages of the app to a file, those from before the run first."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LONG_FORMAT))
    _flush_earlier_messages(handler)
    APP_LOGGER.addHandler(handler)
    return handler


def _flush_earlier_messages(handler: logging.Handler) -> None:
    """Write the messages from before the run to its log, and stop collecting them."""
    for collector in list(APP_LOGGER.handlers):
        if isinstance(collector, MemoryHandler):
            collector.setTarget(handler)
            collector.flush()
            APP_LOGGER.removeHandler(collector)


def _hide_home(text: str) -> str:
    """Replace the user's home folder by `~`, because its name can identify the user."""
    home = os.environ.get("HOME", "").rstrip("/")
    if not home:  # "/" in a container that runs under a uid without a name
        return text
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
