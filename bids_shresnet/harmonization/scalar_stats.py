"""Means of FA and MD over tissues and over every set of regions that came with a scan.

The columns are those of QSIRecon's tables of the same suffix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.inputs.regions import read_region_weights
from bids_shresnet.io.images.nifti import read_volume
from bids_shresnet.io.storage import hash_file, hash_record, remove_file, write_json, write_tsv
from bids_shresnet.outputs.group_scalars import REGIONS_KEY
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS, ScanOutputs, sidecar_path
from bids_shresnet.outputs.sidecars import bids_uri, read_checksum
from bids_shresnet.outputs.stamps import is_current, stamp_files
from bids_shresnet.regions import Parcellation, Regions
from bids_shresnet.scans import Scan, Tissue
from bids_shresnet.version import __version__

TISSUE_LABEL = "tissue"  # `seg-` of the table of tissues
QSIRECON_SUFFIX = "shresnet"
UNCERTAINTIES = ("uncertainty", "fa_uncertainty", "md_uncertainty")
DIGITS = 6
SCALAR_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "region": {"Description": "Name of the region."},
    "variable_name": {
        "Description": "Map that is averaged.",
        "Levels": {
            "fa": "fractional anisotropy",
            "md": "mean diffusivity, mm^2/s",
            "uncertainty": "standard deviation of S/S0 about the prediction in a voxel",
            "fa_uncertainty": "standard deviation of FA about the prediction in a voxel",
            "md_uncertainty": "standard deviation of MD about the prediction in a voxel, mm^2/s",
        },
    },
    "qsirecon_suffix": {"Description": "What made the map."},
    "source_file": {"Description": "BIDS URI of the map."},
    "voxels": {"Description": "Voxels of the region."},
    "zero_proportion": {"Description": "Share of them without a value."},
    "mean": {"Description": "Mean over all voxels."},
    "stdev": {"Description": "Standard deviation over all voxels."},
    "median": {"Description": "Median over all voxels."},
    "masked_mean": {"Description": "Mean over voxels with a value: the one to analyse."},
    "masked_median": {"Description": "Median over voxels with a value."},
    "masked_stdev": {"Description": "Standard deviation over voxels with a value."},
    "weighted_mean": {"Description": "Mean weighted by the probability of the region."},
    "masked_weighted_mean": {"Description": "The same over voxels with a value."},
}

Volume = Float[np.ndarray, "x y z"]


@dataclass(frozen=True)
class RegionTable:
    """One set of regions in the maps of one DWI.

    Attributes
    ----------
    regions
        The set, on any grid in the scan's space.
    desc
        Label of the maps.
    """

    outputs: ScanOutputs
    regions: Regions
    desc: str

    @property
    def path(self) -> Path:
        """Path of the table."""
        return self.outputs.region_table(self.regions.label, self.desc)

    @property
    def description(self) -> Path:
        """Path of the description, which is also the stamp of the table."""
        return self.outputs.region_table(self.regions.label, self.desc, ".json")

    @property
    def maps(self) -> dict[str, Path]:
        """Images of the maps by the name of the variable."""
        maps: dict[str, Path] = {}
        for name in TENSOR_PARAMETERS:
            maps[name] = self.outputs.tensor_map(name, self.desc)
        if self.desc == self.outputs.desc:
            uncertainties = zip(UNCERTAINTIES, self.outputs.uncertainty_maps, strict=True)
            maps |= {variable: path for variable, path in uncertainties if path.exists()}
        return maps

    @property
    def digest(self) -> str:
        """Digest of all that the table is made from."""
        checksums = [read_checksum(sidecar_path(path)) for path in self.maps.values()]
        names = self.regions.names if isinstance(self.regions, Parcellation) else {}
        files = [hash_file(path) for path in self.regions.files]
        return hash_record([__version__, checksums, files, sorted(names.items())])


def write_scalar_stats(outputs: ScanOutputs, record: Mapping[str, Any]) -> bool:
    """Write a table for each set of regions and each DWI with maps, and remove other tables.

    Parameters
    ----------
    record
        What a table of all scans says about the scan, such as its role and the target.

    Returns
    -------
    Whether anything was not up to date.
    """
    tables = tuple(_list_tables(outputs))
    _remove_other_tables(outputs, tables)
    outdated = [table for table in tables if not _is_table_current(table)]
    for table in outdated:
        _write_table(table, record)
    return bool(outdated)


def summarize_region(values: Volume, weights: Volume, *, is_weighted: bool) -> dict[str, float]:
    """Summarize a map over the voxels where a region has a weight; empty if none has a value.

    Voxels with the value 0 have none: they are outside of the brain mask.
    """
    inside = weights > 0
    all_values = values[inside].astype(np.float64)
    has_value = all_values != 0
    masked = all_values[has_value]
    if not masked.size:
        return {}
    numbers = {
        "zero_proportion": 1 - has_value.mean(),
        "mean": all_values.mean(),
        "stdev": all_values.std(),
        "median": np.median(all_values),
        "masked_mean": masked.mean(),
        "masked_median": np.median(masked),
        "masked_stdev": masked.std(),
    }
    if is_weighted:
        shares = weights[inside].astype(np.float64)
        numbers["weighted_mean"] = np.average(all_values, weights=shares)
        numbers["masked_weighted_mean"] = np.average(masked, weights=shares[has_value])
    return {name: float(f"{number:.{DIGITS}g}") for name, number in numbers.items()}


def _list_tables(outputs: ScanOutputs) -> Iterator[RegionTable]:
    """List the tables that the scan should have."""
    sets: list[Regions] = []
    if outputs.tissue.exists():
        names = {label.value: label.name for label in Tissue}
        sets.append(Parcellation(outputs.tissue, names, TISSUE_LABEL))
    sets += [regions for regions in outputs.scan.regions if regions.label != TISSUE_LABEL]
    for regions in sets:
        for desc in outputs.descs:
            if outputs.tensor_map("fa", desc).exists():
                yield RegionTable(outputs, regions, desc)


def _is_table_current(table: RegionTable) -> bool:
    root = table.outputs.root
    return is_current(table.description, REGIONS_KEY, table.digest, root=root)


def _write_table(table: RegionTable, record: Mapping[str, Any]) -> None:
    """Write a table and its description, which is removed first and written last."""
    remove_file(table.description)
    write_tsv(table.path, list(_make_rows(table)), list(SCALAR_COLUMNS))
    scan = table.outputs.scan
    known = {
        **_describe_scan(scan),
        **record,
        "Maps": table.desc,
        "Segmentation": table.regions.label,
        "Files": [path.name for path in table.regions.files],
        "InputsDigest": table.digest,
    }
    stamp = stamp_files([table.path], table.outputs.root)
    write_json(table.description, {**SCALAR_COLUMNS, REGIONS_KEY: known, **stamp})


def _make_rows(table: RegionTable) -> Iterator[dict[str, object]]:
    """Make a row for each region and map."""
    maps = {name: read_volume(path) for name, path in table.maps.items()}
    values, affine = maps["fa"]
    is_weighted = not isinstance(table.regions, Parcellation)
    for region, weights in read_region_weights(table.regions, values.shape[:3], affine):
        for name, (volume, _) in maps.items():
            yield {
                "region": region,
                "variable_name": name,
                "qsirecon_suffix": QSIRECON_SUFFIX,
                "source_file": bids_uri(table.maps[name], table.outputs.root),
                "voxels": int((weights > 0).sum()),
                **summarize_region(volume, weights, is_weighted=is_weighted),
            }


def _describe_scan(scan: Scan) -> dict[str, Any]:
    return {
        "File": scan.image.name,
        "Subject": scan.subject,
        "Session": scan.session,
        "Scanner": scan.scanner_label,
    }


def _remove_other_tables(outputs: ScanOutputs, tables: tuple[RegionTable, ...]) -> None:
    """Remove the tables of sets of regions that the scan no longer has."""
    kept = {path for table in tables for path in (table.path, table.description)}
    for desc in outputs.descs:
        pattern = outputs.region_table("*", desc, ".*").name
        for path in outputs.mask.parent.glob(pattern):
            if path not in kept:
                remove_file(path)
