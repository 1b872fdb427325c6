"""Filters of DWI: `--bids-filter-file`, as fMRIPrep reads it, and excluded subjects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.inputs.dataset import entity_names
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.io.storage import read_json
from bids_shresnet.pairs import NOT_REQUESTED

ROLE = "dwi"
# Inputs of other apps
OTHER_ROLES = ("anat", "asl", "bold", "flair", "fmap", "m0scan", "roi", "sbref", "t1w", "t2w")
FILE_KEYS = ("suffix", "extension", "datatype")
ANY_VALUE = "*"
FORM = f'{{"{ROLE}": {{"acquisition": "b1200"}}}}'


@dataclass(frozen=True)
class BidsFilter:
    """A filter of DWI, both for training and for harmonization.

    Attributes
    ----------
    entities
        By pybids' name: a value, a list of values, "*" for any, or None for a name without the
        entity.
    excluded_subjects
        Labels of subjects that are not used.
    """

    entities: Mapping[str, Any] = field(default_factory=dict)
    excluded_subjects: Collection[str] = ()

    def exclusion_reason(self, file: DwiFile) -> str:
        """Return why a file is excluded; empty if it is not."""
        if file.entities.get("subject") in self.excluded_subjects:
            return f"{NOT_REQUESTED} (--exclude-participant-label)"
        values = {
            **file.entities,
            "suffix": file.suffix,
            "extension": "." + file.image.name.partition(".")[2],
            "datatype": file.image.parent.name,
        }
        criteria = [
            f"{name}: {criterion}"
            for name, criterion in self.entities.items()
            if not _is_match(criterion, values.get(name))
        ]
        return f"{NOT_REQUESTED} (--bids-filter-file, {', '.join(criteria)})" if criteria else ""


def read_bids_filter(path: Path | None, excluded_subjects: Collection[str]) -> BidsFilter:
    """Read the filter of the role `dwi`; other roles are for other apps.

    Raises
    ------
    InputMissing
        If the file does not exist.
    UsageError
        If it is no JSON object of roles, or asks for a role or an entity that does not exist.
    """
    if path is None:
        return BidsFilter(excluded_subjects=excluded_subjects)
    if not path.is_file():
        msg = f"--bids-filter-file {path} does not exist"
        raise InputMissing(msg)
    try:
        roles = read_json(path)
    except BadInput as error:
        msg = f"--bids-filter-file {path} is not of the form {FORM}: {error}"
        raise UsageError(msg) from error
    entities = roles.get(ROLE, {}) if isinstance(roles, dict) else None
    if not isinstance(entities, dict):
        msg = f"--bids-filter-file {path} is not of the form {FORM}"
        raise UsageError(msg)
    _check_names(path, roles, entities)
    return BidsFilter(entities, excluded_subjects)


def _check_names(path: Path, roles: Collection[str], entities: Collection[str]) -> None:
    """Raise UsageError for roles and entities that do not exist."""
    keys = (*entity_names(), *FILE_KEYS)
    unknown = [role for role in roles if role not in (ROLE, *OTHER_ROLES)]
    unknown += [name for name in entities if name not in keys]
    if unknown:
        problem = f"--bids-filter-file {path}: no such role or entity: {', '.join(unknown)}"
        msg = f"{problem}. The role is {ROLE}, the entities are {', '.join(keys)}."
        raise UsageError(msg)


def _is_match(criterion: Any, value: str | None) -> bool:
    """Compare as pybids does: a number matches its text with or without leading zeros."""
    if isinstance(criterion, list):
        return any(_is_match(item, value) for item in criterion)
    if criterion is None or value is None:
        return criterion is None and value is None
    if isinstance(criterion, int):
        return value.isdecimal() and int(value) == criterion
    return bool(criterion in (ANY_VALUE, value))
