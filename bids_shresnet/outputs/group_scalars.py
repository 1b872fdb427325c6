"""group_scalars.tsv: one row per scan, region and measure, before and after harmonization."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import (
    NOT_AVAILABLE,
    hold_lock,
    read_json,
    read_tsv,
    write_json,
    write_tsv,
)
from bids_shresnet.outputs.group_qc import DENOISED_SUFFIX, TARGET_ROLE
from bids_shresnet.outputs.layout import INPUT_DESC

logger = logging.getLogger(__name__)

GROUP_SCALARS = "group_scalars"
REGIONS_KEY = "Regions"  # of the description of a table of regions; what its columns do not say
BEFORE = "before"
AFTER = "after"
DENOISED = "denoised"
GROUP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "stage": {
        "Description": "Which maps the value is from; take one stage at a time.",
        "Levels": {
            BEFORE: "all scans as measured",
            AFTER: "harmonized scans with the target's noise, and the target's as measured",
            DENOISED: "harmonized scans and the target's, without noise",
        },
    },
    "batch": {"Description": "Label of the scanner that measured the scan."},
    # not "subject" and "session": pybids takes the keys of a sidecar for entities
    "participant_id": {"Description": "The subject, `sub-` and its label."},
    "session_id": {"Description": "The session, `ses-` and its label."},
    "file": {"Description": "Name of the scan as measured."},
    "target": {"Description": "Label of the target scanner; of no scan before harmonization."},
    "seg": {"Description": "Label of the set of regions; `tissue` are the scan's own tissues."},
    "region": {"Description": "Name of the region."},
    "measure": {
        "Description": "`fa`, `md` (mm^2/s), or standard deviations about the prediction: "
        "`uncertainty` (of S/S0), `fa_uncertainty`, `md_uncertainty`."
    },
    "value": {
        "Description": "Mean over the region, weighted by its probability if it has one; voxels "
        "without a value do not count."
    },
    "sd": {"Description": "Standard deviation over the voxels of the region."},
    "voxels": {"Description": "Voxels of the region."},
}


def write_group_scalars(root: Path) -> int:
    """Collect the regions of all scans in the output; returns the number of rows.

    A lock lets one job at a time collect and write, so that the last job of an array sees the
    scans of all.
    """
    with hold_lock(root / "logs" / GROUP_SCALARS):
        descriptions = sorted(root.glob("sub-*/**/dwi/sub-*_scalarstats.json"))
        rows = list(_make_rows(descriptions))
        write_json(root / f"{GROUP_SCALARS}.json", GROUP_COLUMNS)
        write_tsv(root / f"{GROUP_SCALARS}.tsv", rows, list(GROUP_COLUMNS))
    return len(rows)


def _make_rows(descriptions: Iterable[Path]) -> Iterator[dict[str, object]]:
    """Make the rows of all tables but those that are damaged, or written again at this moment."""
    for description in descriptions:
        try:
            record = read_json(description)[REGIONS_KEY]
            table = read_tsv(description.with_suffix(".tsv"))
            rows = [row for cells in table for row in _make_region_rows(record, cells)]
        except FileNotFoundError:
            logger.info("%s is being written again", description.name)
        except (BadInput, LookupError, AttributeError, TypeError):
            logger.warning("%s or its table is damaged: run its scan again", description)
        else:
            yield from rows


def _make_region_rows(
    record: Mapping[str, Any], cells: Mapping[str, str]
) -> Iterator[dict[str, object]]:
    """Make the rows of one region and map, one per stage that they belong to."""
    for stage in _stages(record["Maps"], record["Role"]):
        target = None if stage == BEFORE else record["TargetScanner"]
        yield {"stage": stage, **_scan_cells(record), "target": target, **_region_cells(cells)}


def _scan_cells(record: Mapping[str, Any]) -> dict[str, object]:
    return {
        "batch": record["Scanner"],
        "participant_id": f"sub-{record['Subject']}",
        "session_id": f"ses-{record['Session']}" if record["Session"] else None,
        "file": record["File"],
        "seg": record["Segmentation"],
    }


def _region_cells(cells: Mapping[str, str]) -> dict[str, object]:
    weighted = cells["masked_weighted_mean"]
    return {
        "region": cells["region"],
        "measure": cells["variable_name"],
        "value": cells["masked_mean"] if weighted == NOT_AVAILABLE else weighted,
        "sd": cells["masked_stdev"],
        "voxels": cells["voxels"],
    }


def _stages(desc: str, role: str) -> tuple[str, ...]:
    """Return the stages of the maps with a label; the target's own scans are not changed."""
    if desc.endswith(DENOISED_SUFFIX):
        return (DENOISED,)
    if desc != INPUT_DESC:
        return (AFTER,)
    return (BEFORE, AFTER) if role == TARGET_ROLE else (BEFORE,)
