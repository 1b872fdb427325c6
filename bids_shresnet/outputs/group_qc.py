"""group_qc.tsv: one row per scan of the analysis set, collected from the tables of all scans."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import hold_lock, read_json, read_tsv, write_json, write_tsv
from bids_shresnet.outputs.layout import INPUT_DESC
from bids_shresnet.outputs.model.endpoint_errors import endpoint_key

logger = logging.getLogger(__name__)

GROUP_QC = "group_qc"
SCAN_KEY = "Scan"  # of the description of a scan's table; what its columns do not say
HARMONIZED_ROLE = "harmonized"
TARGET_ROLE = "target"
DENOISED_SUFFIX = "Denoised"
GIVEN_MASK = "given"
IN_TRAINING = "yes"
NOT_IN_TRAINING = "no"
TRAINING_CELLS = {True: IN_TRAINING, False: NOT_IN_TRAINING}
TISSUES = ("WM", "GM")
MAPS = ("FA", "MD")
MAP_TITLES = {
    "wm_fa": "Mean fractional anisotropy in the scan's own white matter",
    "wm_md": "Mean of the mean diffusivity in the scan's own white matter",
    "gm_fa": "Mean fractional anisotropy in the scan's own grey matter",
    "gm_md": "Mean of the mean diffusivity in the scan's own grey matter",
}
SCAN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "file": {"Description": "Name of the scan as measured."},
    # not "subject" and "session": pybids takes the keys of a sidecar for entities
    "participant_id": {"Description": "The subject, `sub-` and its label."},
    "session_id": {"Description": "The session, `ses-` and its label."},
    "scanner": {"Description": "Label of the scanner that measured the scan."},
    "role": {
        "Description": "Why the scan is in the analysis set.",
        "Levels": {
            HARMONIZED_ROLE: "measured on another scanner and harmonized to the target",
            TARGET_ROLE: "measured on the target scanner",
        },
    },
    "target": {"Description": "Label of the target scanner."},
    "model": {"Description": "Model that was applied, or that denoised the scan."},
    "subject_in_training": {
        "Description": "Whether the model that harmonized the scan was trained on its subject.",
        "Levels": {
            IN_TRAINING: "yes, and a fit that held the subject out was applied",
            NOT_IN_TRAINING: "no, and the fit to all travelling subjects was applied",
        },
    },
    "mask": {
        "Description": "Where the brain mask is from.",
        "Levels": {
            GIVEN_MASK: "it came with the scan",
            "computed": "it was computed from the mean b=0 image",
        },
    },
}
QUALITY_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "novel_fraction": {
        "Description": "Share of the brain that is unlike the training data of the model."
    },
    "implausible_md": {
        "Description": "Voxels with a larger mean diffusivity than water, in the maps to compare."
    },
    "clipped_signal": {
        "Description": "Share of the values of the scan as measured that lay outside [0, S0]."
    },
    "noise_level": {
        "Description": "Median standard deviation of the noise in one value of the scan as "
        "measured, in units of S0."
    },
}


def write_group_qc(root: Path) -> int:
    """Collect the tables of all scans in the output; returns the number of scans.

    A lock lets one job at a time collect and write, so that the last job of an array sees the
    scans of all.
    """
    with hold_lock(root / "logs" / GROUP_QC):
        rows = _make_rows(sorted(root.glob("sub-*/**/dwi/sub-*_qc.json")))
        columns = _all_columns()
        write_json(root / f"{GROUP_QC}.json", columns)
        write_tsv(root / f"{GROUP_QC}.tsv", rows, list(columns))
    return len(rows)


def _all_columns() -> dict[str, Mapping[str, Any]]:
    """Describe all columns, in their order."""
    comparable = {
        name: describe_map_column(name, ", in the maps to compare") for name in MAP_TITLES
    }
    denoised = {
        f"{name}_denoised": describe_map_column(name, ", in the maps without noise")
        for name in MAP_TITLES
    }
    errors = {}
    for tissue, quantity in product(TISSUES, MAPS):
        description = (
            f"Error (NMSE) of {quantity} in {tissue} of a travelling subject, by the network that "
            "held it out."
        )
        errors[_error_column(tissue, quantity)] = {"Description": description}
    return {**SCAN_COLUMNS, **comparable, **denoised, **QUALITY_COLUMNS, **errors}


def describe_map_column(name: str, maps: str = "") -> dict[str, str]:
    """Describe the mean of a map in a tissue; `maps` says of which maps."""
    units = {"Units": "mm^2/s"} if name.endswith("md") else {}
    return {"Description": f"{MAP_TITLES[name]}{maps}.", **units}


def _error_column(tissue: str, quantity: str) -> str:
    return f"{tissue}_{quantity}_nmse".lower()


def _make_rows(descriptions: Iterable[Path]) -> list[dict[str, object]]:
    """Make the rows of all scans but those that are damaged, or written again at this moment."""
    rows = []
    for description in descriptions:
        try:
            rows.append(_make_row(description))
        except FileNotFoundError:
            logger.info("%s is being written again", description.name)
        except (BadInput, LookupError, StopIteration, AttributeError, TypeError):
            logger.warning("%s or its table is damaged: run its scan again", description)
    return rows


def _make_row(description: Path) -> dict[str, object]:
    """Make the row of a scan from its table and the description of it."""
    scan = read_json(description)[SCAN_KEY]
    table = {row["dwi"]: row for row in read_tsv(description.with_suffix(".tsv"))}
    denoised = next((row for desc, row in table.items() if desc.endswith(DENOISED_SUFFIX)), {})
    comparable = table[_comparable_desc(list(table), scan["Role"])]
    errors = scan.get("HeldOutErrors", {})
    return {
        "file": scan["File"],
        "participant_id": f"sub-{scan['Subject']}",
        "session_id": f"ses-{scan['Session']}" if scan["Session"] else None,
        "scanner": scan["Scanner"],
        "role": scan["Role"],
        "target": scan["TargetScanner"],
        "model": scan["Model"],
        "subject_in_training": TRAINING_CELLS.get(scan.get("SubjectInTraining")),
        "mask": scan["MaskMethod"],
        **{name: comparable[name] for name in MAP_TITLES},
        **{f"{name}_denoised": denoised.get(name) for name in MAP_TITLES},
        "novel_fraction": scan.get("NovelFraction"),
        "implausible_md": comparable["implausible_md"],
        "clipped_signal": scan["ClippedSignal"],
        "noise_level": scan.get("NoiseLevel"),
        **_held_out_errors(errors),
    }


def _comparable_desc(descs: list[str], role: str) -> str:
    """Name the maps that scans of both roles are compared by."""
    if role == TARGET_ROLE:
        return INPUT_DESC
    return next(desc for desc in descs if desc != INPUT_DESC and DENOISED_SUFFIX not in desc)


def _held_out_errors(errors: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """Errors by column; `errors` has them by `endpoint_key`."""
    cells: dict[str, object] = {}
    for tissue, quantity in product(TISSUES, MAPS):
        endpoint = errors.get(endpoint_key(tissue, quantity), {})
        cells[_error_column(tissue, quantity)] = endpoint.get("NMSE")
    return cells
