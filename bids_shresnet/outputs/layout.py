"""Names of the files in the output dataset, `derivatives/shresnet`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.scans import Scan

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
REPLACED_ENTITIES = ("desc", "suffix", "extension", "datatype")  # each output has its own
PATH_PATTERNS = [
    "sub-{subject}[/ses-{session}]/dwi/sub-{subject}[_ses-{session}][_acq-{acquisition}]"
    "[_rec-{reconstruction}][_dir-{direction}][_run-{run}][_part-{part}][_chunk-{chunk}]"
    "[_space-{space}][_seg-{seg}][_model-{model}][_param-{param}]_desc-{desc}_{suffix}{extension}"
]
HARMONIZED_DESC = "harmonized"
INPUT_DESC = "input"

TensorParameter = Literal["fa", "md"]
TENSOR_PARAMETERS: tuple[TensorParameter, ...] = get_args(TensorParameter)


@dataclass(frozen=True)
class ScanOutputs:
    """Paths of everything that is written for one scan and one target scanner.

    Attributes
    ----------
    scan
        The scan that is harmonized.
    root
        The output dataset.
    desc
        Label of the harmonized DWI, as `harmonized_desc` makes it.
    """

    scan: Scan
    root: Path
    desc: str = HARMONIZED_DESC

    def dwi(self, extension: str = ".nii.gz") -> Path:
        """Path of the harmonized DWI, of one of its tables or of its sidecar."""
        return self._path(desc=self.desc, suffix="dwi", extension=extension)

    @property
    def mask(self) -> Path:
        """Path of the mask of harmonized voxels."""
        return self._path(desc="brain", suffix="mask", extension=".nii.gz")

    @property
    def uncertainty(self) -> Path:
        """Path of the standard deviation of S/S0 about the prediction."""
        return self._path(desc=self.uncertainty_desc, suffix="dwimap", extension=".nii.gz")

    @property
    def uncertainty_desc(self) -> str:
        """Label of the maps of uncertainty."""
        return self.label("uncertainty")

    @property
    def uncertainty_maps(self) -> tuple[Path, ...]:
        """Paths of the uncertainty of S/S0, FA and MD."""
        desc = self.uncertainty_desc
        return (self.uncertainty, *(self.tensor_map(name, desc) for name in TENSOR_PARAMETERS))

    @property
    def novelty(self) -> Path:
        """Path of the map of distance from the training data."""
        return self._path(desc=self.label("novelty"), suffix="dwimap", extension=".nii.gz")

    @property
    def tissue(self) -> Path:
        """Path of the segmentation of tissues."""
        return self._path(desc="tissue", suffix="dseg", extension=".nii.gz")

    @property
    def tissue_files(self) -> tuple[Path, ...]:
        """The segmentation of tissues and the table of its labels, if they are written."""
        table = self._path(desc="tissue", suffix="dseg", extension=".tsv")
        return (self.tissue, table) if self.tissue.exists() else ()

    @property
    def descs(self) -> tuple[str, ...]:
        """Labels that maps can have: of the input, of the harmonized DWI, and without noise."""
        return (INPUT_DESC, self.desc, self.denoised_desc)

    @property
    def denoised_desc(self) -> str:
        """Label of the maps of the harmonized DWI without noise."""
        return f"{self.desc}Denoised"

    def tensor_map(self, parameter: TensorParameter, desc: str) -> Path:
        """Path of FA or MD.

        `desc` is `input`, that of the harmonized DWI, `denoised_desc` or `uncertainty_desc`.
        """
        return output_path(
            self.root,
            self.scan,
            desc=desc,
            suffix="dwimap",
            extension=".nii.gz",
            model="tensor",
            param=parameter,
        )

    def qc_table(self, extension: str = ".tsv") -> Path:
        """Path of the table of means before and after, or of its description."""
        return self._path(desc=self.label("harmonization"), suffix="qc", extension=extension)

    def region_table(self, seg: str, desc: str, extension: str = ".tsv") -> Path:
        """Path of the means of regions in the maps with a label, or of its description."""
        return output_path(
            self.root, self.scan, desc=desc, suffix="scalarstats", extension=extension, seg=seg
        )

    def label(self, name: str) -> str:
        """Return a `desc` label that names the target wherever the harmonized DWI's does."""
        return self.desc.replace(HARMONIZED_DESC, name)

    @property
    def harmonized_scan(self) -> Scan:
        """The harmonized DWI as a scan: its own files, everything else as the input has it."""
        return replace(
            self.scan,
            image=self.dwi(".nii.gz"),
            bval=self.dwi(".bval"),
            bvec=self.dwi(".bvec"),
            b_table=self.dwi(".b") if self.scan.b_table else None,
            dataset=self.root,
            dataset_name="",
        )

    def _path(self, *, desc: str, suffix: str, extension: str) -> Path:
        return output_path(self.root, self.scan, desc=desc, suffix=suffix, extension=extension)


def harmonized_desc(target: str, targets: Iterable[str]) -> str:
    """Return the label of DWI harmonized to a target, which it names if there are several."""
    return f"{HARMONIZED_DESC}To{target}" if len(set(targets)) > 1 else HARMONIZED_DESC


def sidecar_path(image: Path) -> Path:
    """Path of the JSON sidecar of a NIfTI image."""
    return image.with_name(image.name.replace(".nii.gz", ".json"))


def output_root(output_dir: Path) -> Path:
    """Return the folder of the derivative dataset, which always ends in `derivatives/shresnet`."""
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
    seg: str | None = None,
    model: str | None = None,
    param: str | None = None,
) -> Path:
    """Name an output of a scan: all entities of the scan, then seg, model, param and desc.

    Raises
    ------
    BadInput
        If the scan has an entity that output names have no field for. Without it two scans
        could get the same name.
    """
    from bids.layout.writing import build_path  # takes a second to import

    entities = {
        name: value for name, value in scan.entities.items() if name not in REPLACED_ENTITIES
    }
    new_entities = {
        "seg": seg,
        "model": model,
        "param": param,
        "desc": desc,
        "suffix": suffix,
        "extension": extension,
    }
    path = build_path(entities | new_entities, PATH_PATTERNS, strict=True)
    if path is None:
        unknown = ", ".join(sorted(set(entities) - set(NAME_ENTITIES)))
        raise_bad_input(
            scan.image,
            f"entities that output names have no field for ({unknown})",
            "Rename the scan or exclude it.",
        )
    return root / str(path)


def find_harmonized_sidecars(root: Path, subject: str = "*") -> list[Path]:
    """Find the sidecars of all harmonized scans, or of those of one subject, in order.

    Other jobs may be writing some: their temporary files do not begin with `sub-`, and are no part
    of them.
    """
    pattern = f"sub-{subject}/**/dwi/sub-*_desc-{HARMONIZED_DESC}*_dwi.json"
    return sorted(root.glob(pattern))
