"""Content of dataset_description.json of an output: what made it, and from what.

Several runs make one output, each from the derivatives that its command line names. The description
names those of all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.io.description import DESCRIPTION_FILE_NAME, read_description
from bids_shresnet.version import __version__

BIDS_VERSION = "1.11.1"
CODE_URL = "https://github.com/bids-apps/shresnet"
HOW_TO_ACKNOWLEDGE = (
    "Please cite Koppers et al., Spherical Harmonic Residual Network for Diffusion Signal "
    "Harmonization, Computational Diffusion MRI 2018, arXiv:1808.01595."
)
REFERENCES = ["https://arxiv.org/abs/1808.01595", CODE_URL]
RIGHTS = {"License": str, "Authors": list}  # of the data, with their types


def describe_dataset(
    root: Path,
    datasets: Mapping[str, Path],
    pipelines: Sequence[Mapping[str, Any]],
    earlier: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the description of an output.

    Parameters
    ----------
    datasets, pipelines
        Inputs of this run by name, and what made them, as for `prepare_root`.
    earlier
        The description so far, whose first pipeline is the app: inputs that it names and this run
        does not use stay.
    """
    app = {"Name": "bids_shresnet", "Version": __version__, "CodeURL": CODE_URL, **_container()}
    links = {name: _dataset_link(root, path) for name, path in datasets.items()}
    sources = {name: _source_dataset(path, links[name]) for name, path in datasets.items()}
    others = [item for item in earlier.get("GeneratedBy", [])[1:] if item not in pipelines]
    return {
        "Name": "shresnet: diffusion MRI harmonized across scanners",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [app, *pipelines, *others],
        "SourceDatasets": list((_earlier_sources(earlier) | sources).values()),
        "DatasetLinks": _earlier_links(earlier) | links,
        "HowToAcknowledge": HOW_TO_ACKNOWLEDGE,
        "ReferencesAndLinks": REFERENCES,
        **_stated_rights(earlier),
        **_rights(datasets),
    }


def _earlier_links(earlier: Mapping[str, Any]) -> dict[str, str]:
    links = earlier.get("DatasetLinks")
    return dict(links) if isinstance(links, dict) else {}


def _earlier_sources(earlier: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return SourceDatasets by name: they are in the order of the links."""
    links = _earlier_links(earlier)
    sources = earlier.get("SourceDatasets")
    if isinstance(sources, list) and len(sources) == len(links):
        return dict(zip(links, sources, strict=True))
    return {name: {"URL": link} for name, link in links.items()}


def _rights(datasets: Mapping[str, Path]) -> dict[str, Any]:
    """Return License and Authors of the first input that states them, which hold for results."""
    rights: dict[str, Any] = {}
    for path in datasets.values():
        if (path / DESCRIPTION_FILE_NAME).exists():
            rights = {**_stated_rights(read_description(path)), **rights}
    return rights


def _stated_rights(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key, kind in RIGHTS.items() if _is_filled(record, key, kind)}


def _is_filled(record: Mapping[str, Any], key: str, kind: type) -> bool:
    return isinstance(record.get(key), kind) and bool(record[key])


def _container() -> dict[str, dict[str, str]]:
    """Return the container this runs in, if any.

    Of an Apptainer image only the file name is given, because its path names its user.
    """
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_NAME")
    tag = os.environ.get("SHRESNET_DOCKER_TAG") or (image and Path(image).name)
    if not tag:
        return {}
    return {"Container": {"Type": "apptainer" if image else "docker", "Tag": tag}}


def _dataset_link(root: Path, dataset: Path) -> str:
    """Return a relative path for a dataset around the output, so that both can move; else a URI."""
    dataset_folder = dataset.absolute()
    output_folder = root.absolute()
    if output_folder.is_relative_to(dataset_folder):
        return os.path.relpath(dataset_folder, output_folder)
    return dataset_folder.as_uri()


def _source_dataset(dataset: Path, link: str) -> dict[str, str]:
    """Return the entry of SourceDatasets: the dataset's DOI if it has one, else its link."""
    has_description = (dataset / DESCRIPTION_FILE_NAME).exists()
    doi = read_description(dataset).get("DatasetDOI") if has_description else None
    return {"DOI": doi} if doi and isinstance(doi, str) else {"URL": link}
