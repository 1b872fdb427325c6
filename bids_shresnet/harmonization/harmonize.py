"""Harmonize a scan on disk: load it, apply a model, write the harmonized DWI and its maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from bids_shresnet.diffusion.novelty import EXPECTED_NOVEL_FRACTION, WARN_NOVEL_FRACTION
from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.diffusion.spatial.roughness import describe_roughness
from bids_shresnet.harmonization.apply_model import apply_model
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.jobs import HarmonizeJob, digest_inputs
from bids_shresnet.harmonization.scan_qc import write_scan_qc
from bids_shresnet.harmonization.sidecars import (
    dwi_sidecar,
    harmonization_record,
    mask_sidecar,
    novelty_sidecar,
    uncertainty_sidecar,
)
from bids_shresnet.harmonization.tensor_outputs import (
    harmonized_pairs,
    input_pair,
    write_map_pair,
)
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.storage import remove_file, write_json
from bids_shresnet.outputs.group_qc import HARMONIZED_ROLE
from bids_shresnet.outputs.images import Volume, write_image, write_output
from bids_shresnet.outputs.layout import (
    INPUT_DESC,
    TENSOR_PARAMETERS,
    ScanOutputs,
    sidecar_path,
)
from bids_shresnet.outputs.model.folder import read_model
from bids_shresnet.outputs.stamps import is_current, stamp_files
from bids_shresnet.scans import Scan

logger = logging.getLogger(__name__)


def write_harmonized_scan(job: HarmonizeJob) -> bool:
    """Write the harmonized DWI, its mask and its maps, unless they are up to date.

    The sidecar of the DWI is their stamp: it is removed first and written last, so where it exists,
    all outputs are complete and were made together.

    Returns
    -------
    Whether anything was written.

    Raises
    ------
    ValueError
        If the scan lacks a shell of the model.
    """
    model = read_model(job.model_folder)
    inputs_digest = digest_inputs(job, model)
    if is_up_to_date(job.outputs, inputs_digest):
        return False
    scan = load_scan(job.scan)
    representation = represent_source(scan.dwi, scan.mask, model.source_shells)
    harmonized = apply_model(
        scan,
        representation,
        model=model,
        fit=job.select_fit(model),
        options=job.options,
    )
    _warn_if_novel(job.scan, harmonized)
    for difference in describe_roughness(harmonized.roughness_ratio):
        logger.warning("%s: %s", job.scan.image.name, difference)
    _discard_outputs(job.outputs)
    record = harmonization_record(job, model, harmonized) | {"InputsDigest": inputs_digest}
    _write_trust_maps(job.outputs, harmonized, record)
    pairs = [
        input_pair(job.outputs, scan, representation),
        *harmonized_pairs(job.outputs, harmonized, record),
    ]
    for pair in pairs:
        write_map_pair(job.outputs, pair, scan.dwi.affine)
    write_scan_qc(job.outputs, pairs, scan, representation, _qc_record(record))
    output_type = job.options.output_type
    write_image(job.outputs.dwi(), harmonized.dwi, scan=job.scan, output_type=output_type)
    sidecar = dwi_sidecar(job.outputs, model, record).to_json(job.outputs.dwi())
    stamp = stamp_files(_list_outputs(job.outputs, harmonized), job.outputs.root)
    write_json(job.outputs.dwi(".json"), {**sidecar, **stamp})
    return True


def _qc_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a table of all scans says about a harmonized one."""
    return {
        "Role": HARMONIZED_ROLE,
        "TargetScanner": record["TargetScanner"]["Label"],
        "Model": record["Model"],
        "SubjectInTraining": record["SubjectInTraining"],
        "NovelFraction": record["Novelty"]["MarkedFraction"],
        "HeldOutErrors": record.get("HeldOutErrors", {}).get(record["Method"], {}),
    }


def _write_trust_maps(
    outputs: ScanOutputs, harmonized: HarmonizedScan, record: Mapping[str, Any]
) -> None:
    """Write the mask, and the maps of how far the harmonized signal can be trusted.

    `record` is the `Harmonization` of the DWI's sidecar.
    """
    scan = outputs.scan
    affine = harmonized.dwi.affine
    mask = Volume(harmonized.mask, affine)
    write_output(outputs.mask, mask, scan=scan, sidecar=mask_sidecar(scan))
    if harmonized.uncertainty is not None:
        uncertainty = Volume(harmonized.uncertainty.signal, affine)
        sidecar = uncertainty_sidecar(scan, record)
        write_output(outputs.uncertainty, uncertainty, scan=scan, sidecar=sidecar)
    novelty = Volume(harmonized.novelty, affine)
    write_output(outputs.novelty, novelty, scan=scan, sidecar=novelty_sidecar(scan))


def _warn_if_novel(scan: Scan, harmonized: HarmonizedScan) -> None:
    """Warn if much of the brain is unlike the training data."""
    if harmonized.novel_fraction > WARN_NOVEL_FRACTION:
        logger.warning(
            "%s: %.0f %% of the brain are unlike the training data (see desc-novelty_dwimap); "
            "for a healthy scan of this scanner %.0f %% are usual",
            scan.image.name,
            100 * harmonized.novel_fraction,
            100 * EXPECTED_NOVEL_FRACTION,
        )


def is_up_to_date(outputs: ScanOutputs, inputs_digest: str) -> bool:
    """Return whether all outputs are as they were written, and were made from these inputs."""
    return is_current(outputs.dwi(".json"), "Harmonization", inputs_digest, root=outputs.root)


def _discard_outputs(outputs: ScanOutputs) -> None:
    """Remove the stamp, and then what the new outputs may not have."""
    remove_file(outputs.dwi(".json"))
    denoised = [outputs.tensor_map(name, outputs.denoised_desc) for name in TENSOR_PARAMETERS]
    for image in (*outputs.uncertainty_maps, *denoised):
        remove_file(sidecar_path(image))
        remove_file(image)


def _list_outputs(outputs: ScanOutputs, harmonized: HarmonizedScan) -> list[Path]:
    """All files that are written for a scan, without the sidecars of images."""
    extensions = [".nii.gz", ".bval", ".bvec", *([".b"] if outputs.scan.b_table else [])]
    descs = [INPUT_DESC, outputs.desc]
    if harmonized.denoised_maps is not None:
        descs.append(outputs.denoised_desc)
    maps = [outputs.tensor_map(name, desc) for name, desc in product(TENSOR_PARAMETERS, descs)]
    uncertainty = () if harmonized.uncertainty is None else outputs.uncertainty_maps
    return [
        *(outputs.dwi(extension) for extension in extensions),
        outputs.mask,
        outputs.novelty,
        *outputs.tissue_files,
        *uncertainty,
        *maps,
        outputs.qc_table(),
        outputs.qc_table(".json"),
    ]
