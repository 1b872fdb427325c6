"""Which DWI a user wants: `--bids-filter-file`, in the form that fMRIPrep and QSIPrep read, and excluded subjects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.inputs.dataset import entity_names
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.io.storage import read_json

# Inputs of other apps
OTHER_ROLES = ("anat", "asl", "bold", "flair", "fmap", "m0scan", "roi", "sbref", "t1w", "t2w")
ANY_VALUE = "*"


@dataclass(frozen=True)
class BidsFilter:
    """What the user asks of every DWI, whether it is trained on or harmonized.

    Attributes
    ----------
    entities
        By long name: a value, several of which one must hold, "*" for any, or None for a name without the entity.
    excluded_subjects
        Labels of subjects that are used for nothing.
    """

    entities: Mapping[str, Any] = field(default_factory=dict)
    excluded_subjects: Collection[str] = ()

    def exclusion_reason(self, file: DwiFile) -> str:
        """Say why a file is not wanted; empty if it is."""
        if file.entities.get("subject") in self.excluded_subjects:
            return "not asked for (--exclude-participant-label)"
        place = {"suffix": file.suffix, "extension": "." + file.image.name.partition(".")[2]}
        found = {**file.entities, **place, "datatype": file.image.parent.name}
        unlike = [
            name for name, value in self.entities.items() if not _is_match(value, found.get(name))
        ]
        asked = ", ".join(f"{name}: {self.entities[name]}" for name in unlike)
        return f"not asked for (--bids-filter-file, {asked})" if unlike else ""


def read_bids_filter(path: Path | None, excluded_subjects: Collection[str]) -> BidsFilter:
    """Read the filter of the role `dwi`; those of other roles are for other apps.

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
        roles = dict(read_json(path))
        entities = dict(roles.get("dwi", {}))
    except (ValueError, TypeError) as error:
        msg = f'--bids-filter-file {path} is not of the form {{"dwi": {{"acquisition": "b1200"}}}}: {error}'
        raise UsageError(msg) from error
    unknown = [name for name in roles if name not in ("dwi", *OTHER_ROLES)]
    keys = (*entity_names(), "suffix", "extension", "datatype")
    unknown += [name for name in entities if name not in keys]
    if unknown:
        msg = (
            f"--bids-filter-file {path}: no such role or entity: {', '.join(unknown)}. "
            f"The role is dwi, the entities are {', '.join(keys)}."
        )
        raise UsageError(msg)
    return BidsFilter(entities, excluded_subjects)


def _is_match(filter_value: Any, value: str | None) -> bool:
    """Compare as pybids does: a number is any spelling of it, with or without zeros."""
    if isinstance(filter_value, list):
        return any(_is_match(one, value) for one in filter_value)
    if filter_value is None or value is None:
        return filter_value is None and value is None
    if isinstance(filter_value, int):
        return value.isdecimal() and int(value) == filter_value
    return bool(filter_value in (ANY_VALUE, value))
