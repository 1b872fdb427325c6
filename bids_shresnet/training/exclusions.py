"""Travelling subjects that cannot be trained on: a file in the work folder keeps the reason.

One bad head must not end the training on all others. Every job of a cluster comes to the same
answer, because it depends on files alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bids_shresnet.errors import BadInput
from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.io.storage import read_json, remove_file, write_json
from bids_shresnet.pairs import RegistrationQuality
from bids_shresnet.training.prepare import PrepareJob, is_prepared, prepare_subject
from bids_shresnet.training.registration_quality import find_outliers

EXCLUSION_FILE = "excluded.json"  # in the folder of a subject, instead of its arrays

logger = logging.getLogger(__name__)


def try_to_prepare_subject(job: PrepareJob) -> bool:
    """Prepare a subject, or write down why it cannot be; False if one of them was done before.

    Registration and fits fail in more ways than can be listed, so any error counts but those of
    the disk, which are not the subject's.
    """
    if failure_reason(job):
        return False
    remove_file(job.folder / EXCLUSION_FILE)
    try:
        return prepare_subject(job)
    except OSError:
        raise
    except Exception as error:  # written down, so that the other subjects go on
        logger.debug("sub-%s cannot be prepared", job.source.subject, exc_info=True)
        record = {"inputs": job.digest, "reason": _describe_failure(error)}
        write_json(job.folder / EXCLUSION_FILE, record)
        return True


def _describe_failure(error: Exception) -> str:
    """Say what failed, without the folders of the file: the text is shown on pages."""
    if not isinstance(error, BadInput):
        return f"{type(error).__name__}: {error}"
    return " ".join(
        f"{Path(finding.file).name}: {finding.value}. {finding.remedy}"
        for finding in error.findings
    )


def failure_reason(job: PrepareJob) -> str:
    """Return why a subject could not be prepared from these scans; empty if nothing is known."""
    path = job.folder / EXCLUSION_FILE
    record = read_json(path) if path.exists() else {}
    return str(record["reason"]) if record.get("inputs") == job.digest else ""


def read_qualities(jobs: Sequence[PrepareJob]) -> dict[str, RegistrationQuality]:
    """Read the registration quality of the prepared subjects, by label."""
    qualities = {}
    for job in jobs:
        quality = read_array_record(job.folder).get("quality") if is_prepared(job) else None
        if quality:
            qualities[job.source.subject] = RegistrationQuality(**quality)
    return qualities


def find_bad_heads(jobs: Sequence[PrepareJob]) -> dict[str, str]:
    """Find the subjects that failed or whose scans do not correspond, with the reasons.

    Subjects are only compared once all of them are prepared, so that all jobs of a cluster agree.
    """
    failures = {job.source.subject: failure_reason(job) for job in jobs}
    failures = {subject: reason for subject, reason in failures.items() if reason}
    qualities = read_qualities(jobs)
    is_complete = len(failures) + len(qualities) == len(jobs)
    return failures | (find_outliers(qualities) if is_complete else {})


def quality_rows(jobs: Sequence[PrepareJob]) -> list[dict[str, object]]:
    """Describe the registration of each subject in a row, with the reason if it is excluded."""
    qualities = read_qualities(jobs)
    reasons = find_bad_heads(jobs)
    rows = []
    for job in jobs:
        subject = job.source.subject
        numbers = asdict(qualities[subject]) if subject in qualities else {}
        rounded = {name: round(value, 4) for name, value in numbers.items()}
        rows.append({"subject": subject, **rounded, "excluded": reasons.get(subject, "")})
    return rows
