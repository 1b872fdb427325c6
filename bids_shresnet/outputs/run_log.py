"""Records of what was done: BIDS URIs, sidecars, a folder a run in `logs/`, and `prov/` as in the draft of BEP028.

Every file that is not about one output carries the run's name, so parallel jobs never share one.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import hash_file, read_json, write_json, write_text, write_tsv
from bids_shresnet.outputs.sidecars import bids_uri, package_versions

logger = logging.getLogger(__name__)

STATUS_TSV, FINDINGS_TSV, CRASH_FILE = (
    "status.tsv",
    "findings.tsv",
    "crash_{}.txt",
)  # in the folder of a run; {}: name of a scan
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True)
class ScanStatus:
    """What became of one scan.

    Attributes
    ----------
    file
        The scan's file, relative to its dataset.
    status
        `done`, `up to date` (complete from an earlier run), `excluded` or `failed`.
    reason
        Why it was excluded or failed.
    scanner
        Label of its scanner; empty where it is not known.
    """

    subject: str
    session: str
    file: str
    status: Literal["done", "up to date", "excluded", "failed"]
    reason: str = ""
    scanner: str = ""


@dataclass(frozen=True)
class Run:
    """A run of the app under way.

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
        What writes run.log.
    """

    root: Path
    name: str
    command: str
    start_time: datetime
    log_handler: logging.Handler

    @property
    def folder(self) -> Path:
        """Return the folder of this run's log, settings and status."""
        return self.root / "logs" / self.name


def start_run(root: Path, config: Mapping[str, Any], command: Sequence[str]) -> Run:
    """Open the folder of a run: the settings, from which it can be repeated, in config.json, the log in run.log.

    `config` comes from `records.to_record`; the output must be prepared (`outputs.prepare_root`).
    """
    started = datetime.now(UTC)
    name = f"{started:%Y%m%d-%H%M%S}_{uuid4()}"
    write_json(root / "logs" / name / "config.json", config)
    handler = logging.FileHandler(root / "logs" / name / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logger = logging.getLogger("bids_shresnet")
    for kept in [
        one for one in logger.handlers if isinstance(one, MemoryHandler)
    ]:  # what was said before
        kept.setTarget(handler)
        kept.flush()
        logger.removeHandler(kept)
    logger.addHandler(handler)
    return Run(root, name, _hide_home(shlex.join(command)), started, handler)


def write_findings(run: Run, findings: Sequence[Finding]) -> None:
    """Write what was found about the dataset into findings.tsv of the run."""
    write_tsv(
        run.folder / FINDINGS_TSV,
        [asdict(one) for one in findings],
        [field.name for field in fields(Finding)],
    )


def write_crash_report(run: Run, scan_name: str, traceback: str) -> None:
    """Write where a scan failed into the folder of the run, for its report and for whoever mends it."""
    write_text(run.folder / CRASH_FILE.format(scan_name), _hide_home(traceback))


def prov_path(root: Path, run_name: str, kind: str) -> Path:
    """File of the provenance of a run: `act`, `ent`, `env` or `soft`."""
    return root / "prov" / f"prov-shresnet{_bids_label(run_name)}_{kind}.json"


def finish_run(run: Run, rows: Sequence[ScanStatus], outputs: Sequence[Path] = ()) -> None:
    """Close a run: what became of each scan in status.tsv, and who made which output from what in prov/."""
    logging.getLogger("bids_shresnet").removeHandler(run.log_handler)
    run.log_handler.close()
    write_tsv(
        run.folder / STATUS_TSV,
        [asdict(row) for row in rows],
        [field.name for field in fields(ScanStatus)],
    )
    for kind, record in _prov_records(run, outputs).items():
        write_json(prov_path(run.root, run.name, kind), record)


def _prov_records(run: Run, outputs: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the four records of BEP028's draft: activities, entities, environments, software."""
    prefix = f"bids::prov#{_bids_label(run.name)}"
    versions = package_versions()
    tools = [
        {"Id": f"{prefix}-{name}", "Label": name, "Version": version}
        for name, version in versions.items()
    ]
    system = {
        "Label": "environment",
        "OperatingSystem": platform.platform(),
        "Dependencies": versions,
    }
    links = read_json(run.root / "dataset_description.json")["DatasetLinks"]
    datasets = [
        {"Id": f"bids:{name}:", "Label": name, "AtLocation": link} for name, link in links.items()
    ]
    activity = {
        "Id": f"{prefix}-activity",
        "Label": "Harmonization of diffusion MRI",
        "Command": run.command,
        "AssociatedWith": [tool["Id"] for tool in tools],
        "Used": [f"{prefix}-environment", *(dataset["Id"] for dataset in datasets)],
        "StartedAtTime": run.start_time.isoformat(timespec="seconds"),
        "EndedAtTime": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {
        "act": {"Activities": [activity]},
        "ent": {
            "Datasets": datasets,
            "Files": [_file_entity(path, run, f"{prefix}-activity") for path in outputs],
        },
        "env": {"Environments": [{"Id": f"{prefix}-environment", **system}]},
        "soft": {"Software": tools},
    }


def _file_entity(path: Path, run: Run, activity: str) -> dict[str, Any]:
    """Return the record of an output file."""
    return {
        "Id": bids_uri(path, run.root),
        "Label": path.name,
        "AtLocation": path.relative_to(run.root).as_posix(),
        "Digest": {"SHA-256": hash_file(path)},
        "GeneratedBy": [activity],
    }


def _bids_label(run_name: str) -> str:
    """Return a run's name as BIDS spells labels, letters and digits only."""
    return "".join(filter(str.isalnum, run_name))


def _hide_home(text: str) -> str:
    """Hide the user's name where a home folder would tell it."""
    home = os.environ.get("HOME", "").rstrip(
        "/"
    )  # "/" where a container runs under a uid without a name
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text) if home else text
