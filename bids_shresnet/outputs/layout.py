"""Names and skeleton of the output tree: one BIDS derivative dataset, `derivatives/shresnet`."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bids_shresnet.errors import OutputError
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.storage import NOT_AVAILABLE, read_json, write_text
from bids_shresnet.scans import Scan
from bids_shresnet.version import __version__

logger = logging.getLogger(__name__)
BIDS_VERSION = "1.11.1"
CODE_URL = "https://github.com/bids-apps/shresnet"
NAME_ENTITIES = (
    "subject",
    "session",
    "acquisition",
    "reconstruction",
    "direction",
    "run",
    "part",
    "chunk",
    "space",
)
REPLACED_ENTITIES = (
    "desc",
    "suffix",
    "extension",
    "datatype",
)  # of the input's entities; each output has its own
PATH_PATTERNS = [
    "sub-{subject}[/ses-{session}]/dwi/sub-{subject}[_ses-{session}][_acq-{acquisition}][_rec-{reconstruction}]"
    "[_dir-{direction}][_run-{run}][_part-{part}][_chunk-{chunk}][_space-{space}][_model-{model}][_param-{param}]"
    "_desc-{desc}_{suffix}{extension}"
]
DESC_LABELS = {
    "harmonized": "Signal of the source scanner as the target scanner would have measured it, or maps of this signal.",
    "input": "Maps of the input scan, for comparison with the harmonized ones.",
    "brain": "Voxels that were harmonized.",
    "uncertainty": "Where the networks of the model disagree.",
    "novelty": "Where the scan is unlike anything that the model was trained on.",
    "harmonization": "Quality metrics of the harmonization of one scan.",
}
# Valid outputs that the validator's schema does not know yet: BEP016 maps, gradient tables of derivatives, reports and
# models. No slash at the end of a folder: the validator (3.0.2) then still complains about the folder itself.
BIDSIGNORE = """\
*.html
figures
models
prov
group_*
*_dwimap.*
*_dwiref.*
*_xfm.*
*_qc.*
*_dwi.bval
*_dwi.bvec
*_dwi.b
"""
README = """\
# Harmonized diffusion MRI

Written by bids_shresnet (SHResNet, Koppers et al. 2018, arXiv:1808.01595). In every `dwi` folder:

* `desc-harmonized_dwi`: the scan as the target scanner would have measured it, its b-vectors in the convention of the
  scan's own (`GradientConvention` in the sidecar);
* `desc-brain_mask`: the voxels that were harmonized;
* `model-tensor_param-{fa,md}_desc-{input,harmonized}_dwimap`: tensor maps before and after;
* `desc-harmonization_qc`: quality metrics of it.

`sub-*.html` are reports to look at. `models` holds one model a scanner pair, with its cross-validation. `logs` and
`prov` say what was run, with which software and settings; `logs/*/config.json` repeats a run.
"""
HOW_TO_ACKNOWLEDGE = (
    "Please cite Koppers et al., Spherical Harmonic Residual Network for Diffusion Signal Harmonization, "
    "Computational Diffusion MRI 2018, arXiv:1808.01595."
)


def output_root(output_dir: Path) -> Path:
    """Return where the derivative dataset goes, so that the path always ends in `derivatives/shresnet`."""
    path = output_dir.absolute()
    if path.name == "shresnet" and path.parent.name == "derivatives":
        return output_dir
    if path.name == "derivatives":
        return output_dir / "shresnet"
    return output_dir / "derivatives" / "shresnet"


def output_path(
    root: Path,
    scan: Scan,
    *,
    desc: str,
    suffix: str,
    extension: str,
    model: str | None = None,
    param: str | None = None,
) -> Path:
    """Name an output of a scan: all entities of the scan, then model, param and desc.

    Raises
    ------
    BadInput
        If the scan has an entity that our names have no place for; leaving it out could give two scans one name.
    """
    from bids.layout.writing import build_path  # takes a second to import

    inherited = {
        name: value for name, value in scan.entities.items() if name not in REPLACED_ENTITIES
    }
    own = {"model": model, "param": param, "desc": desc, "suffix": suffix, "extension": extension}
    path = build_path({**inherited, **own}, PATH_PATTERNS, strict=True)
    if path is None:
        unknown = ", ".join(sorted(set(inherited) - set(NAME_ENTITIES)))
        raise_bad_input(
            scan.image,
            f"entities without a place in the output's name ({unknown})",
            "Rename or leave out the scan.",
        )
    return root / str(path)


def harmonized_scan(root: Path, scan: Scan, desc: str) -> Scan:
    """The harmonized DWI of a scan: its files in the output, all else as the scan has it."""
    image, bval, bvec, b_table = (
        output_path(root, scan, desc=desc, suffix="dwi", extension=extension)
        for extension in (".nii.gz", ".bval", ".bvec", ".b")
    )
    table = b_table if scan.b_table else None
    return replace(
        scan, image=image, bval=bval, bvec=bvec, b_table=table, dataset=root, dataset_name=""
    )


def prepare_root(
    root: Path, datasets: Mapping[str, Path], pipelines: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Make the output folder a BIDS derivative dataset, or bring one up to date.

    What is as it should be is not touched, and files appear whole, so that many jobs may do this at once.

    Parameters
    ----------
    root
        The dataset, from `output_root`.
    datasets
        Roots of the input datasets by the names that BIDS URIs call them, such as `raw`.
    pipelines
        GeneratedBy of the input, newest first; empty for raw data.

    Raises
    ------
    OutputError
        If the folder cannot be created or written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(
            dir=root
        ).close()  # even where nothing is left to write, the outputs will be
        _warn_if_version_differs(root / "dataset_description.json")
        _write_if_changed(
            root / "dataset_description.json",
            _to_json(_dataset_description(root, datasets, pipelines)),
        )
        _write_if_changed(root / ".bidsignore", BIDSIGNORE)
        _write_if_changed(root / "descriptions.tsv", _desc_table())
        _write_if_changed(
            root / "descriptions.json",
            _to_json({"description": {"Description": "What files with this label hold."}}),
        )
        if not (root / "README.md").exists():  # users add to it
            write_text(root / "README.md", README)
    except OSError as error:
        msg = f"cannot write to the output folder {root}: {error}. Name another one, or ask for the right to write there."
        raise OutputError(msg) from error


def _dataset_description(
    root: Path, datasets: Mapping[str, Path], pipelines: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the content of dataset_description.json."""
    own = {"Name": "shresnet", "Version": __version__, "CodeURL": CODE_URL, **_container()}
    links = {name: _dataset_link(root, path) for name, path in datasets.items()}
    return {
        "Name": "shresnet: diffusion MRI harmonized across scanners",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [own, *pipelines],
        "SourceDatasets": [_source_dataset(path, links[name]) for name, path in datasets.items()],
        "DatasetLinks": links,
        "HowToAcknowledge": HOW_TO_ACKNOWLEDGE,
    }


def _container() -> dict[str, dict[str, str]]:
    """Return the container this runs in; of an Apptainer image only the file's name, for its path names its user."""
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_NAME")
    tag = os.environ.get("SHRESNET_DOCKER_TAG") or (image and Path(image).name)
    return {"Container": {"Type": "apptainer" if image else "docker", "Tag": tag}} if tag else {}


def _dataset_link(root: Path, dataset: Path) -> str:
    """Return a relative path for a dataset around the output, which stays true when both move, else a file URI."""
    outer, inner = dataset.absolute(), root.absolute()
    return os.path.relpath(outer, inner) if inner.is_relative_to(outer) else outer.as_uri()


def _source_dataset(dataset: Path, link: str) -> dict[str, str]:
    """Return the entry of SourceDatasets: the dataset's DOI where it has one, else its place."""
    description = dataset / "dataset_description.json"
    doi = read_json(description).get("DatasetDOI") if description.exists() else None
    return {"DOI": doi} if doi else {"URL": link}


def _warn_if_version_differs(description: Path) -> None:
    """Say aloud that the outputs of two versions get mixed."""
    pipelines = read_pipelines(description.parent)
    version = pipelines[0].get("Version", NOT_AVAILABLE) if pipelines else __version__
    if version != __version__:
        logger.warning(
            "%s holds outputs of version %s; this is %s", description.parent, version, __version__
        )


def _desc_table() -> str:
    """Return descriptions.tsv: what the labels of desc- mean."""
    rows = [f"desc-{label}\t{text}\n" for label, text in DESC_LABELS.items()]
    return "".join(["desc_id\tdescription\n", *rows])


def _to_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _write_if_changed(path: Path, text: str) -> None:
    """Write a file unless it already says this."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def has_output(scan: Scan, root: Path) -> bool:
    """Whether there is a harmonized version of a scan, up to date or not."""
    folder = root.joinpath(*scan.image.parent.parts[len(scan.dataset.parts) :])
    return any(folder.glob(f"{scan.name}_desc-harmonized*_dwi.json"))
