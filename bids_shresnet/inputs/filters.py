"""Which DWI a user wants: `--bids-filter-file`, in the form that fMRIPrep and QSIPrep read, and excluded subjects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.index import ENTITIES
from bids_shresnet.io.storage import read_json

OTHER_ROLES = ("anat", "asl", "bold", "flair", "fmap", "m0scan", "roi", "sbref", "t1w", "t2w")  # other apps' inputs
NAMES = (*ENTITIES.values(), "suffix", "extension", "datatype")
ANY = "*"


@dataclass(frozen=True)
class Wanted:
    """What the user asks of every DWI, whether it teaches or is harmonized.

    Attributes
    ----------
    entities
        By long name: a value, several of which one must hold, "*" for any, or None for a name without the entity.
    excluded
        Labels of subjects that are used for nothing.
    """

    entities: Mapping[str, Any] = field(default_factory=dict)
    excluded: Collection[str] = ()

    def why_not(self, file: DwiFile) -> str:
        """Say why a file is not wanted; empty if it is."""
        if file.entities.get("subject") in self.excluded:
            return "not asked for (--exclude-participant-label)"
        place = {"suffix": file.suffix, "extension": "." + file.image.name.partition(".")[2]}
        found = {**file.entities, **place, "datatype": file.image.parent.name}
        unlike = [name for name, value in self.entities.items() if not _holds(value, found.get(name))]
        asked = ", ".join(f"{name}: {self.entities[name]}" for name in unlike)
        return f"not asked for (--bids-filter-file, {asked})" if unlike else ""


def read_wanted(path: Path | None, excluded: Collection[str]) -> Wanted:
    """Read the filter of the role `dwi`; those of other roles are for other apps.

    Raises
    ------
    InputMissing
        If the file does not exist.
    UsageError
        If it is no JSON object of roles, or asks for a role or an entity that does not exist.
    """
    if path is None:
        return Wanted(excluded=excluded)
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
    unknown += [name for name in entities if name not in NAMES]
    if unknown:
        msg = (
            f"--bids-filter-file {path}: no such role or entity: {', '.join(unknown)}. The role is dwi, the "
            f"entities are {', '.join(NAMES)}."
        )
        raise UsageError(msg)
    return Wanted(entities, excluded)


def _holds(asked: Any, value: str | None) -> bool:
    """Compare as pybids does: a number is any spelling of it, with or without zeros."""
    if isinstance(asked, list):
        return any(_holds(one, value) for one in asked)
    if asked is None or value is None:
        return asked is None and value is None
    if isinstance(asked, int):
        return value.isdecimal() and int(value) == asked
    return bool(asked in (ANY, value))
