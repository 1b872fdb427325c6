"""All DWI of a dataset and its derivatives, with what the datasets state about each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.dataset import (
    COMPUTED_MAP_SUFFIXES,
    SEGMENTATION_SUFFIXES,
    BidsDataset,
    BidsFile,
)
from bids_shresnet.inputs.derivatives import (
    DerivativeFile,
    brain_mask_paths,
    is_in_space,
    matching_derivatives,
    prefer_preprocessed,
    read_segmentations,
)
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.regions import find_regions
from bids_shresnet.inputs.sidecars import merge_sidecars
from bids_shresnet.regions import Regions
from bids_shresnet.scans import Segmentation

DerivativesBySubject = Mapping[str | None, list[DerivativeFile]]


def find_dwi(
    root: Path,
    derivatives: Mapping[str, Path],
    *,
    subjects: Collection[str] = (),
    database: Path | None = None,
) -> tuple[DwiFile, ...]:
    """Find the DWI of a dataset and the `desc-preproc_dwi` of its derivatives, sorted by name.

    Only sidecars and tables of labels are read.

    Parameters
    ----------
    root
        The raw dataset.
    derivatives
        Roots of derivative datasets by name.
    subjects
        Labels of the subjects to look for; all by default.
    database
        Folder of a pybids database of the raw dataset.

    Raises
    ------
    InputMissing
        If a folder does not exist or is no BIDS dataset.
    UsageError
        If the database is of another dataset.
    """
    raw_dataset = BidsDataset.from_folder(root, subjects, database)
    datasets = [BidsDataset.from_folder(folder, subjects) for folder in derivatives.values()]
    segmentations = _segmentations_by_subject([raw_dataset, *datasets])
    raw_files = [
        _make_dwi_file(file, raw_dataset, segmentations)
        for file in raw_dataset.images(("dwi", *COMPUTED_MAP_SUFFIXES))
    ]
    preprocessed_files = [
        _make_dwi_file(file, dataset, segmentations)
        for dataset in datasets
        for file in dataset.images(("dwi",))
        if file.entities.get("desc") == "preproc"
    ]
    files = prefer_preprocessed(raw_files, preprocessed_files)
    return tuple(sorted(files, key=lambda file: (file.image.name, file.image)))


def _segmentations_by_subject(datasets: Iterable[BidsDataset]) -> DerivativesBySubject:
    """Collect masks and segmentations by subject label."""
    by_subject = defaultdict(list)
    for dataset in datasets:
        for file in dataset.images(SEGMENTATION_SUFFIXES):
            by_subject[file.entities.get("subject")].append(DerivativeFile(file, dataset))
    return by_subject


def _make_dwi_file(
    file: BidsFile, dataset: BidsDataset, derivatives: DerivativesBySubject
) -> DwiFile:
    """Collect what applies to an image."""
    metadata, findings = merge_sidecars(dataset.applicable_files(file, ".json"))
    candidates = derivatives.get(file.entities.get("subject"), [])
    matching = matching_derivatives(file, candidates)
    aligned = (derived for derived in matching if is_in_space(file, dataset, derived))
    segmentations: tuple[Segmentation, ...] = ()
    regions: tuple[Regions, ...] = ()
    try:
        segmentations = read_segmentations(matching)
        regions = find_regions(matching)
    except BadInput as error:
        findings += error.findings
    return DwiFile(
        image=file.path,
        dataset=dataset.root,
        suffix=file.suffix,
        entities=file.entities,
        metadata=metadata,
        pipeline=dataset.pipeline,
        bval=dataset.closest_file(file, ".bval"),
        bvec=dataset.closest_file(file, ".bvec"),
        b_table=dataset.closest_file(file, ".b"),
        masks=brain_mask_paths(matching),
        segmentations=segmentations,
        regions=regions,
        aligned_files=frozenset(derived.file.path for derived in aligned),
        findings=findings,
    )
