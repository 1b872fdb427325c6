"""Fixtures: prepared travelling subjects, the folds of a model, and a scan in two poses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.pairs import Pair, TravellingSubject
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.regions import Parcellation
from bids_shresnet.scans import Scan, Scanner
from bids_shresnet.settings import FitSettings, NetworkConfig, TrainingConfig
from bids_shresnet.training.fold_jobs import all_subjects_job, model_fold_jobs
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.match_scans import match_scans
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import Series, write_tree
from tests.factories import make_scan
from tests.methods.heads import SHELLS, head, travelling, with_power
from tests.training.moved_head import SHELLS as MOVED_SHELLS
from tests.training.moved_head import find_source_scan, move_scan

SUBJECTS = ("01", "02", "03")
SESSIONS = ("ge", "prisma")
GRID = (7, 7, 7)


@pytest.fixture
def fit_settings() -> FitSettings:
    """Two epochs of a small network, one with each optimizer."""
    training = TrainingConfig(
        schedule="two-stage",
        max_epochs=2,
        adam_epochs=1,
        voxels_per_epoch=30,
        adam_batch=16,
        sgd_batch=16,
    )
    return FitSettings(training=training, network=NetworkConfig(resblocks=1, hidden=3))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    stems = [scan_stem(subject, session) for subject in SUBJECTS for session in SESSIONS]
    root = write_tree(tmp_path / "bids", {stem: Series() for stem in stems})
    source = Scanner("ge", "GE", "SIGNA", "1")
    target = Scanner("prisma", "Siemens", "Prisma", "2")
    scans = [(scan(root, subject, "ge"), scan(root, subject, "prisma")) for subject in SUBJECTS]
    return Pair(source, target, tuple(scans))


def scan_stem(subject: str, session: str) -> str:
    return f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi"


def scan(root: Path, subject: str, session: str) -> Scan:
    return make_scan(
        root / scan_stem(subject, session),
        entities={"subject": subject, "session": session},
        scanner=Scanner(session),
        bvals=tuple(map(float, Series().bvals)),
        dataset=root,
    )


@pytest.fixture
def prepared(pair: Pair, tmp_path: Path) -> list[PrepareJob]:
    """Jobs of three subjects whose arrays are written: small heads."""
    jobs = []
    for seed, (source, target) in enumerate(pair.travelling_scans):
        folder = tmp_path / "work" / source.subject
        subject = travelling(with_power(head(seed, GRID)), 7, sigma=0.02)
        half = replace(subject.matched, denoised_patches=subject.matched.patches[..., :-1])
        halves = (half, replace(half, signal=half.signal * 0.9))
        subject = replace(subject, source_halves=halves, target_halves=halves[::-1])
        shells = PairShells(SHELLS, SHELLS, (), SHELLS, SHELLS)
        job = PrepareJob(source, target, shells, folder)
        write_travelling_subject(folder, subject, {"inputs": job.digest})
        jobs.append(job)
    return jobs


@pytest.fixture
def jobs(
    pair: Pair, prepared: list[PrepareJob], fit_settings: FitSettings, tmp_path: Path
) -> tuple[FoldJob, ...]:
    """Folds of a model of SHResNet and, last, the fit to all subjects."""
    folder = tmp_path / "models" / pair.name
    folds = model_fold_jobs(folder, prepared, SHELLS, fit_settings, "shresnet")
    return (*folds, all_subjects_job(folds))


@pytest.fixture(scope="session")
def source(phantom: Path) -> Scan:
    """A scan of the phantom on the source scanner."""
    return find_source_scan(phantom / "bids")


@pytest.fixture(scope="session")
def moved(source: Scan, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """The same scan of a head in another pose, as if it came from a target scanner.

    Its regions are slabs of one voxel.
    """
    folder = tmp_path_factory.mktemp("moved")
    scan = move_scan(source, folder)
    dwi = load_scan(scan).dwi
    labels = np.broadcast_to(np.arange(dwi.shape[2], dtype=np.int16), dwi.shape)
    nib.save(nib.Nifti1Image(labels, dwi.affine), folder / "dseg.nii.gz")
    return replace(scan, regions=(Parcellation(folder / "dseg.nii.gz", {1: "slab"}),))


@pytest.fixture(scope="session")
def travelling_subject(source: Scan, moved: Scan) -> TravellingSubject:
    """Both scans, matched."""
    return match_scans(source, moved, MOVED_SHELLS)
