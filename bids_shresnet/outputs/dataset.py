"""The output as a BIDS derivative dataset: its description, README and table of labels."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput, OutputError
from bids_shresnet.io.description import (
    DESCRIPTION_FILE_NAME,
    read_description,
    read_pipelines,
)
from bids_shresnet.io.storage import NOT_AVAILABLE, write_text
from bids_shresnet.outputs.dataset_description import describe_dataset
from bids_shresnet.version import __version__

logger = logging.getLogger(__name__)

DESC_LABELS = {
    "harmonized": "Signal of the source scanner as the target scanner would have measured it, "
    "or maps of this signal.",
    "harmonizedDenoised": "FA and MD of the harmonized scan without noise, for single scans. "
    "Do not compare them with measured maps, which have noise.",
    "input": "Maps of the input scan, for comparison with the harmonized ones.",
    "brain": "Brain of the scan.",
    "tissue": "Tissues of the scan.",
    "uncertainty": "How far the target's values may be from the harmonized ones.",
    "novelty": "Where the scan is unlike the training data of the model.",
    "harmonization": "Quality metrics of the harmonization of one scan.",
}
# Valid outputs that the validator's schema does not know yet: BEP016 maps, gradient tables of
# derivatives, reports and models. Folders have no slash at the end: with one, the validator
# (3.0.2) complains about the folder itself.
BIDSIGNORE = """\
*.html
figures
models
prov
ratings
group_*
*_dwimap.*
*_dwiref.*
*_xfm.*
*_qc.*
*_scalarstats.*
*_dwi.bval
*_dwi.bvec
*_dwi.b
"""
README = """\
# Harmonized diffusion MRI

Written by bids_shresnet (SHResNet, Koppers et al. 2018, arXiv:1808.01595). Every `dwi` folder has:

* `desc-harmonized_dwi`: the scan as the target scanner would have measured it, with b-vectors in
  the convention of the input (`GradientConvention` in the sidecar);
* `desc-brain_mask`: the brain; its sidecar says which of its voxels are not harmonized;
* `model-tensor_param-{fa,md}_desc-input_dwimap`: tensor maps of the input;
* `model-tensor_param-{fa,md}_desc-harmonized_dwimap`: as the target scanner's own maps would show
  them, with its noise: compare these with maps of the target scanner;
* `model-tensor_param-{fa,md}_desc-harmonizedDenoised_dwimap`: the same without noise, for single
  scans;
* `desc-harmonization_qc`: quality metrics of the harmonization;
* `desc-tissue_dseg`: tissues, and `seg-*_scalarstats`: FA and MD in tissues and in regions.

Scans of the target scanner are not harmonized. They have the same maps (`desc-input`: as measured)
and are analysed with the harmonized scans; `group_qc.tsv` has one row for each scan of both kinds,
`group_scalars.tsv` one for each scan, region and measure.

`sub-*.html` are reports to look at. `models` holds one model per scanner pair, with its
cross-validation. `logs` and `prov` record what was run, with which software and settings;
`logs/*/config.json` repeats a run.
"""


def prepare_root(
    root: Path, datasets: Mapping[str, Path], pipelines: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Make the output folder a BIDS derivative dataset, or bring an existing one up to date.

    Correct files are not touched and new files appear whole, so many jobs may do this at once.
    Inputs of earlier runs stay named, because their outputs refer to them.

    Parameters
    ----------
    root
        The dataset, from `output_root`.
    datasets
        Roots of the input datasets by their names in BIDS URIs, such as `raw`; none if a run only
        rewrites reports.
    pipelines
        GeneratedBy of the input, newest first; empty for raw data.

    Raises
    ------
    OutputError
        If the folder cannot be created or written.
    """
    try:
        _check_writable(root)
        earlier = _read_earlier(root)
        _warn_if_version_differs(root, earlier)
        _write_skeleton(root, describe_dataset(root, datasets, pipelines, earlier))
    except OSError as error:
        msg = (
            f"cannot write to the output folder {root}: {error}. "
            "Name another one, or ask for the right to write to it."
        )
        raise OutputError(msg) from error


def _check_writable(root: Path) -> None:
    """Create the folder and a temporary file in it, even if nothing has to be written now."""
    root.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=root).close()


def _write_skeleton(root: Path, description: Mapping[str, Any]) -> None:
    """Write the files of the dataset that are about no single scan."""
    labels = {"description": {"Description": "What files with this label hold."}}
    _write_if_changed(root / "dataset_description.json", _to_json(description))
    _write_if_changed(root / ".bidsignore", BIDSIGNORE)
    _write_if_changed(root / "descriptions.tsv", _desc_table())
    _write_if_changed(root / "descriptions.json", _to_json(labels))
    if not (root / "README.md").exists():  # users add to it
        write_text(root / "README.md", README)


def _read_earlier(root: Path) -> dict[str, Any]:
    """Read the description that runs before have written; a damaged one is replaced."""
    if not (root / DESCRIPTION_FILE_NAME).exists():
        return {}
    try:
        return {**read_description(root), "GeneratedBy": read_pipelines(root)}
    except BadInput as error:
        logger.warning("%s", error)
        return {}


def _warn_if_version_differs(root: Path, earlier: Mapping[str, Any]) -> None:
    """Warn that outputs of two versions are being mixed."""
    pipelines = earlier.get("GeneratedBy")
    version = pipelines[0].get("Version", NOT_AVAILABLE) if pipelines else __version__
    if version != __version__:
        logger.warning("%s holds outputs of version %s; this is %s", root, version, __version__)


def _desc_table() -> str:
    """Return descriptions.tsv: the meaning of the labels of desc-."""
    rows = [f"desc-{label}\t{text}\n" for label, text in DESC_LABELS.items()]
    return "".join(["desc_id\tdescription\n", *rows])


def _to_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _write_if_changed(path: Path, text: str) -> None:
    """Write a file unless it has this content already."""
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)
