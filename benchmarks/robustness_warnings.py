"""What the app has said about each changed scan, from the logs of its runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from benchmarks.robustness_scans import Variant
from benchmarks.robustness_scores import has_results
from bids_shresnet.outputs.runs.past_runs import find_run_folders, read_run_table
from bids_shresnet.outputs.runs.run_log import FINDINGS_TSV, LOG_FILE, STATUS_TSV

# Findings are also logged, many files on one line; their table has a line for each.
LOGGED_WARNING = re.compile(r" WARNING (?!bids_shresnet\.planning\.)[\w.]+: (?P<text>.*)")

Warnings = Mapping[str, Sequence[Sequence[str]]]  # of each scan, by change


def read_all_warnings(root: Path, variants: Iterable[Variant]) -> Warnings:
    """Read what the app has said about each changed scan, by change."""
    warnings: dict[str, list[list[str]]] = {}
    for variant in variants:
        texts = [] if has_results(root, variant) else ["no result"]
        warnings.setdefault(variant.change, []).append([*texts, *read_warnings(root, variant)])
    return warnings


def read_warnings(root: Path, variant: Variant) -> list[str]:
    """Read what the app has said about a changed scan in any run, without the names of files."""
    name = f"sub-{variant.subject}_"
    texts: list[str] = []
    for folder in find_run_folders(root):
        rows = read_run_table(folder, FINDINGS_TSV)
        own = [row for row in rows if row["severity"] == "warning" and name in row["file"]]
        texts += [f"{row['value']}. {row['remedy']}" for row in own]
        rows = read_run_table(folder, STATUS_TSV)
        failed = [row for row in rows if row["status"] == "failed" and name in row["file"]]
        texts += [f"failed: {row['reason']}" for row in failed]
        texts += read_logged_warnings(folder / LOG_FILE, name)
    return list(dict.fromkeys(texts))


def read_logged_warnings(log: Path, name: str) -> Iterator[str]:
    """Yield the warnings of a log about a scan whose name begins so, without its name."""
    for line in log.read_text(encoding="utf-8").splitlines():
        match = LOGGED_WARNING.search(line)
        if match and match["text"].startswith(name):
            yield match["text"].partition(": ")[2]


def format_warnings(warnings: Warnings) -> str:
    """Return what was said about each change, each text once for all scans."""
    lines = []
    for change, scans in warnings.items():
        texts = dict.fromkeys(chain.from_iterable(scans)) or ["no warning"]
        lines += [f"- {change}: {text}\n" for text in texts]
    return "".join(lines)
