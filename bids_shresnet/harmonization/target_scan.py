"""The target's own scans, as a part of the data that harmonized scans are analysed with.

They are not harmonized. They get the same two pairs of maps as harmonized scans: as measured, which
the comparable maps of harmonized scans are made like, and without noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.harmonization.apply_coefficients import Application, apply_coefficients
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.scan_qc import write_scan_qc
from bids_shresnet.harmonization.sidecars import mask_sidecar
from bids_shresnet.harmonization.tensor_outputs import (
    MapPair,
    fitted_bvalues,
    input_pair,
    write_map_pair,
)
from bids_shresnet.inputs.load_scan import LoadedScan, digest_scan, load_scan
from bids_shresnet.io.storage import hash_record, remove_file
from bids_shresnet.methods.networks.denoiser import Denoiser
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.group_qc import SCAN_KEY, TARGET_ROLE
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.layout import (
    TENSOR_PARAMETERS,
    ScanOutputs,
    harmonized_desc,
)
from bids_shresnet.outputs.model.folder import Model, read_model
from bids_shresnet.outputs.stamps import is_current
from bids_shresnet.pairs import ExcludedScan
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.scans import Scan
from bids_shresnet.version import __version__

INPUT_TITLE = (
    "of a scan of the target scanner as measured: compare it with the maps of harmonized scans, "
    "which have the same noise"
)
DENOISED_TITLE = (
    "of a scan of the target scanner without noise: compare it with the maps of harmonized scans "
    "without noise"
)


@dataclass(frozen=True, kw_only=True)
class TargetJob:
    """One scan of a target scanner, and a model that harmonizes to this scanner."""

    outputs: ScanOutputs
    model_folder: Path
    device: str = "cpu"

    @property
    def scan(self) -> Scan:
        """The scan as measured."""
        return self.outputs.scan


def make_target_jobs(
    scans: Sequence[Scan], models: Sequence[Model], *, root: Path, device: str
) -> tuple[tuple[TargetJob, ...], tuple[ExcludedScan, ...]]:
    """Make a job for each scan of a target scanner, with the first model to this scanner.

    Returns
    -------
    The jobs, and the scans that were measured with other shells than the model's target.
    """
    jobs: list[TargetJob] = []
    excluded: list[ExcludedScan] = []
    first_models = {model.target: model for model in reversed(models)}
    for scan in scans:
        model = first_models[scan.scanner_label]
        if reason := Requirements.of_model(model).target_mismatch(scan):
            excluded.append(ExcludedScan.from_scan(scan, reason))
            continue
        outputs = ScanOutputs(scan, root, harmonized_desc(model.target, first_models))
        jobs.append(TargetJob(outputs=outputs, model_folder=model.folder, device=device))
    return tuple(jobs), tuple(excluded)


def write_target_scan(job: TargetJob) -> bool:
    """Write the mask and the maps of a scan of the target, unless they are up to date.

    The description of the table is their stamp: it is removed first and written last, so where it
    exists, all outputs are complete and were made together.

    Returns
    -------
    Whether anything was written.

    Raises
    ------
    ValueError
        If the scan lacks a shell of the model's target.
    """
    model = read_model(job.model_folder)
    inputs_digest = _digest_inputs(job, model)
    if is_target_up_to_date(job.outputs, inputs_digest):
        return False
    scan = load_scan(job.scan)
    affine = scan.dwi.affine
    remove_file(job.outputs.qc_table(".json"))
    mask = Volume(scan.mask, affine)
    sidecar = mask_sidecar(job.scan, "Voxels that the maps show.")
    write_output(job.outputs.mask, mask, scan=job.scan, sidecar=sidecar)
    shells = Requirements.of_model(model).target_shells
    representation = represent_dwi(scan.dwi, scan.mask, shells)
    pairs = [input_pair(job.outputs, scan, representation, INPUT_TITLE)]
    if model.card.target_denoiser is not None:
        pairs.append(_denoised_pair(job, model, scan))
    for pair in pairs:
        write_map_pair(job.outputs, pair, affine)
    record = {
        "Role": TARGET_ROLE,
        "TargetScanner": model.target,
        "Model": model.name,
        "InputsDigest": inputs_digest,
    }
    descs = [pair.desc for pair in pairs]
    maps = [job.outputs.tensor_map(name, desc) for name, desc in product(TENSOR_PARAMETERS, descs)]
    stamped = [job.outputs.mask, *maps]
    write_scan_qc(job.outputs, pairs, scan, representation, record, stamped=stamped)
    return True


def is_target_up_to_date(outputs: ScanOutputs, inputs_digest: str) -> bool:
    """Return whether all outputs are as they were written, and were made from these inputs."""
    return is_current(outputs.qc_table(".json"), SCAN_KEY, inputs_digest, root=outputs.root)


def denoise_target_scan(scan: LoadedScan, model: Model, denoiser: Denoiser) -> HarmonizedScan:
    """Remove the noise of a scan of the target."""
    representation = represent_dwi(scan.dwi, scan.mask, denoiser.shells)
    coefficients = denoiser.denoise(scan.dwi, scan.mask, denoiser.shells)
    image = representation.image
    application = Application(
        method="denoised",
        bvalues=[shell.bvalue for shell in denoiser.shells],
        noise=model.card.all_subjects.measurement_noise,
    )
    denoised = replace(image, coefficients=unmask(coefficients.astype(np.float32), image.mask))
    return apply_coefficients(scan, representation, denoised, application)


def _denoised_pair(job: TargetJob, model: Model, scan: LoadedScan) -> MapPair:
    record = model.card.target_denoiser
    assert record is not None
    file = model.folder / record.weights.file
    denoiser = load_harmonizer(file, "denoised", job.device)
    assert isinstance(denoiser, Denoiser)
    denoised = denoise_target_scan(scan, model, denoiser)
    assert denoised.denoised_maps is not None
    measured = denoised.measured_signal
    return MapPair(
        maps=denoised.denoised_maps,
        desc=job.outputs.denoised_desc,
        title=DENOISED_TITLE,
        source=job.scan,
        bvalues=fitted_bvalues(measured.bvals, measured.bvecs),
        record={"Denoising": {"Model": model.name, "Network": record.weights.file}},
    )


def _digest_inputs(job: TargetJob, model: Model) -> str:
    """Return the SHA-256 of everything that the output depends on."""
    return hash_record([__version__, digest_scan(job.scan), job.scan.metadata, model.digest])
