"""All DWI of a dataset and its derivatives, each with what its datasets say about it; nothing is judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

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
from bids_shresnet.inputs.sidecars import merge_sidecars


def find_dwi(
    root: Path,
    derivatives: Mapping[str, Path],
    *,
    subjects: Collection[str] = (),
    database: Path | None = None,
) -> tuple[DwiFile, ...]:
    """All DWI of a dataset, and the `desc-preproc_dwi` of its derivatives, by name; nothing is opened but sidecars.

    Of `subjects` only, where they are named. `database` is the folder of a pybids database of the dataset.

    Raises
    ------
    InputMissing
        If a folder does not exist or is no BIDS dataset.
    UsageError
        If the database is of another dataset.
    """
    own = BidsDataset.from_folder(root, subjects, database)
    others = [BidsDataset.from_folder(folder, subjects) for folder in derivatives.values()]
    derived: dict[str | None, list[DerivativeFile]] = defaultdict(list)
    for dataset in (own, *others):
        for file in dataset.images(SEGMENTATION_SUFFIXES):
            derived[file.entities.get("subject")].append(DerivativeFile(file, dataset))
    raw = [
        _make_dwi_file(file, own, derived) for file in own.images(("dwi", *COMPUTED_MAP_SUFFIXES))
    ]
    preprocessed = [
        _make_dwi_file(file, dataset, derived)
        for dataset in others
        for file in dataset.images(("dwi",))
        if file.entities.get("desc") == "preproc"
    ]
    return tuple(
        sorted(
            prefer_preprocessed(raw, preprocessed), key=lambda file: (file.image.name, file.image)
        )
    )


def _make_dwi_file(
    file: BidsFile,
    dataset: BidsDataset,
    derivatives_by_subject: Mapping[str | None, list[DerivativeFile]],
) -> DwiFile:
    """Collect what applies to an image; `derived` is by subject."""
    metadata, findings = merge_sidecars(dataset.applicable_files(file, ".json"))
    bval, bvec, b_table = (
        next(reversed(dataset.applicable_files(file, ext)), None)
        for ext in (".bval", ".bvec", ".b")
    )
    offered = matching_derivatives(
        file, derivatives_by_subject.get(file.entities.get("subject"), [])
    )
    return DwiFile(
        image=file.path,
        dataset=dataset.root,
        suffix=file.suffix,
        entities=file.entities,
        metadata=metadata,
        pipeline=dataset.pipeline,
        bval=bval,
        bvec=bvec,
        b_table=b_table,
        masks=brain_mask_paths(offered),
        segmentations=read_segmentations(offered),
        aligned_files=frozenset(
            one.file.path for one in offered if is_in_space(file, dataset, one)
        ),
        findings=findings,
    )
