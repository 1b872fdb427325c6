"""Harmonize: a scan and a model -> the DWI that the target scanner would have measured, on the scan's own grid."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from bids_shresnet.config import Config
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.harmonization.apply_model import HarmonizeOptions, apply_model
from bids_shresnet.harmonization.predict import applicable_method
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.io.gradient_tables import BVEC_AXES_DESCRIPTIONS
from bids_shresnet.io.nifti import write_dwi, write_volume
from bids_shresnet.io.storage import hash_file, hash_record, read_json, write_json
from bids_shresnet.outputs.layout import output_path
from bids_shresnet.outputs.model_folder import CARD_FILE, Model, read_model
from bids_shresnet.outputs.sidecars import bids_uri, make_sidecar
from bids_shresnet.pairs import ExcludedScan
from bids_shresnet.scans import Scan
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION, Method
from bids_shresnet.version import __version__

MAX_NOVEL_FRACTION = (
    0.05  # share of a brain that may be beyond the guard's threshold before it is worth a warning
)
MAP_DESCRIPTIONS = {
    "uncertainty": "Standard deviation of the predicted S/S0 over the model's networks (root mean square over "
    "directions): where they disagree, what they say is not well known. Noise of the scan is not part of it.",
    "novelty": "Distance of the scan from what the model was trained on, in units of the distance that 2 % of healthy "
    "brain are beyond: above 1 the tissue is unlike anything it has seen. 0: no signal to judge by.",
}
PREDICTED_SHELLS_NOTE = " The volumes of PredictedShells were not measured in any form: they are predicted from the other shells."
SHELL_KEYS = (
    "SourceBValue",
    "TargetBValue",
    "SHOrder",
)  # of the model's shells, what a sidecar repeats

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HarmonizeJob:
    """One scan to rewrite.

    Attributes
    ----------
    model_folder
        Folder of the model.
    root
        The output dataset.
    is_travelling
        Whether the scan belongs to a subject that the model was trained with; the fold that held it out is used then.
    method
        How what the model has learned is applied.
    should_predict_missing
        Whether the shells that the scan lacks are predicted as well.
    """

    scan: Scan
    model_folder: Path
    root: Path
    desc: str
    is_travelling: bool
    method: Method
    output_directions: Literal["source", "target"]
    should_abstain: bool
    device: str
    should_predict_missing: bool = False

    @property
    def options(self) -> HarmonizeOptions:
        """How the model is applied."""
        return HarmonizeOptions(
            self.method,
            self.device,
            self.output_directions,
            self.should_abstain,
            self.should_predict_missing,
        )

    def output(self, extension: str) -> Path:
        """Name of the harmonized DWI."""
        return output_path(self.root, self.scan, desc=self.desc, suffix="dwi", extension=extension)


def make_harmonize_jobs(
    scans: Sequence[Scan], models: Sequence[Model], config: Config, root: Path
) -> tuple[tuple[HarmonizeJob, ...], tuple[ExcludedScan, ...]]:
    """A job for each scan and each model of its scanner, and the scans whose shells no model knows."""
    jobs, left_out = [], []
    several = len({model.target for model in models}) > 1
    for scan in scans:
        fitting = [model for model in models if scan.scanner and model.source == scan.scanner.label]
        for model in fitting:
            try:
                find_shell_volumes(np.array(scan.bvals), model.source_shells)
            except ValueError as error:
                left_out.append(
                    ExcludedScan(
                        scan.image, f"the model {model.name} was trained on other b-values: {error}"
                    )
                )
                continue
            jobs.append(
                HarmonizeJob(
                    scan=scan,
                    model_folder=model.folder,
                    root=root,
                    desc=f"harmonizedTo{model.target}" if several else "harmonized",
                    is_travelling=model.is_travelling_subject(scan.subject, config.bids_dir),
                    method=applicable_method(model, config.method),
                    output_directions=config.output_directions,
                    should_abstain=config.abstain,
                    device=config.device,
                    should_predict_missing=config.predict_missing_shells
                    and bool(model.missing_shells),
                )
            )
    return tuple(jobs), tuple(left_out)


def write_harmonized_dwi(job: HarmonizeJob) -> bool:
    """Write the harmonized DWI, the mask and the uncertainty; False if they are there, made from the same.

    The sidecar is written last: where it is, all the rest is.

    Raises
    ------
    ValueError
        If the scan lacks a shell of the model.
    """
    model = read_model(job.model_folder)
    inputs = digest_inputs(job, model)
    if is_up_to_date(job, inputs):
        return False
    folds = model.folds_for(job.scan.subject if job.is_travelling else None)
    loaded = load_scan(job.scan)
    rewritten = apply_model(loaded, model, folds, job.options)
    result, represented = rewritten.prediction, rewritten.representation
    _write_mask(job, loaded)
    if result.uncertainty is not None:
        _write_map(job, "uncertainty", result.uncertainty, loaded)
    _write_map(job, "novelty", result.novelty, loaded)
    stem = job.output(".nii.gz")
    write_dwi(
        stem.with_name(stem.name.removesuffix(".nii.gz")),
        rewritten.dwi,
        job.scan.image,
        bvec_axes=job.scan.bvec_axes,
        has_b_table=job.scan.b_table is not None,
    )
    record = _harmonization_record(job, model, inputs, represented) | {
        "Networks": [fold["File"] for fold in folds],
        "Novelty": {
            "MarkedFraction": round(result.novel_fraction, 6),
            "LeftAsMeasured": job.should_abstain,
        },
        **(
            {"PredictedShells": _predicted_shell_records(model, rewritten.measured_volume_count)}
            if job.should_predict_missing
            else {}
        ),
    }
    if result.novel_fraction > MAX_NOVEL_FRACTION:
        logger.warning(
            "%s: %.0f %% of the brain are unlike anything the model was trained on (see desc-novelty_dwimap); for a "
            "healthy scan of this scanner 2 %% are usual",
            *(job.scan.image.name, 100 * result.novel_fraction),
        )
    _write_sidecar(job, model, record)
    return True


def is_up_to_date(job: HarmonizeJob, inputs_digest: str) -> bool:
    """Whether the harmonized DWI is there and its sidecar says that it was made from these inputs."""
    table = (".b",) if job.scan.b_table else ()
    if not all(
        job.output(extension).exists()
        for extension in (".json", ".nii.gz", ".bval", ".bvec", *table)
    ):
        return False
    return bool(
        read_json(job.output(".json")).get("Harmonization", {}).get("InputsDigest") == inputs_digest
    )


def digest_inputs(job: HarmonizeJob, model: Model) -> str:
    """Of all that the output depends on."""
    scan = job.scan
    files = [*map(hash_file, scan.files), scan.bvec_axes]
    choices = [
        job.is_travelling,
        job.method,
        job.output_directions,
        job.should_abstain,
        job.should_predict_missing,
    ]
    return hash_record([__version__, files, model.digest, *choices])


def _predicted_shell_records(model: Model, first_volume: int) -> list[dict[str, Any]]:
    """Which volumes (from 0) the scanner never measured, and what they stand for."""
    found = []
    for shell, table in zip(model.missing_shells, model.missing_shell_directions, strict=True):
        volumes = list(range(first_volume, first_volume + len(table)))
        found.append({"BValue": shell.bvalue, "SHOrder": shell.sh_order, "Volumes": volumes})
        first_volume += len(table)
    return found


def _write_mask(job: HarmonizeJob, loaded: LoadedScan) -> None:
    image = output_path(job.root, job.scan, desc="brain", suffix="mask", extension=".nii.gz")
    write_volume(image, loaded.mask, loaded.dwi.affine, job.scan.image)
    given = job.scan.mask
    made = (
        "median_otsu (DIPY) on the mean b0, its largest piece without holes, widened by one voxel"
    )
    record = make_sidecar(
        image,
        description="Voxels that were harmonized.",
        sources=[_scan_uri(job.scan)],
        is_skull_stripped=False,
        scan_metadata={},
        record={"Type": "Brain", "Method": f"copied from {given.name}" if given else made},
    )
    write_json(image.with_name(image.name.replace(".nii.gz", ".json")), record)


def _write_map(
    job: HarmonizeJob, name: str, values: Float[np.ndarray, "x y z"], loaded: LoadedScan
) -> None:
    """Write one of the maps that say how far the harmonized signal can be trusted."""
    desc = job.desc.replace("harmonized", name)
    image = output_path(job.root, job.scan, desc=desc, suffix="dwimap", extension=".nii.gz")
    write_volume(image, values, loaded.dwi.affine, job.scan.image)
    record = make_sidecar(
        image,
        description=MAP_DESCRIPTIONS[name],
        sources=[_scan_uri(job.scan)],
        is_skull_stripped=True,
        scan_metadata={},
        record={"Units": "arbitrary"},
    )
    write_json(image.with_name(image.name.replace(".nii.gz", ".json")), record)


def _write_sidecar(job: HarmonizeJob, model: Model, record: Mapping[str, Any]) -> None:
    card = (model.folder / CARD_FILE).absolute()
    local = card.is_relative_to(job.root.absolute())
    write_json(
        job.output(".json"),
        make_sidecar(
            job.output(".nii.gz"),
            description=f"DWI as the scanner {model.target} would have measured it; b0 volumes as measured."
            + (PREDICTED_SHELLS_NOTE if "PredictedShells" in record else ""),
            sources=[_scan_uri(job.scan), bids_uri(card, job.root) if local else card.as_uri()],
            is_skull_stripped=bool(job.scan.metadata.get("SkullStripped", False)),
            scan_metadata=job.scan.metadata,
            record={
                "GradientConvention": BVEC_AXES_DESCRIPTIONS[job.scan.bvec_axes],
                "Harmonization": dict(record),
            },
        ),
    )


def _harmonization_record(
    job: HarmonizeJob, model: Model, inputs_digest: str, representation: Representation
) -> dict[str, Any]:
    errors = model.held_out_errors(job.scan.subject) if job.is_travelling else {}
    shown = {name: errors[name] for name in (NO_HARMONIZATION, job.method) if name in errors}
    return {
        **({"HeldOutErrors": shown} if shown else {}),
        "Method": job.method,
        "MethodName": METHOD_NAMES[job.method],
        "Model": model.name,
        "ModelSHA256": model.digest,
        "SourceScanner": model.card["SourceScanner"],
        "TargetScanner": model.card["TargetScanner"],
        "SubjectInTraining": job.is_travelling,
        "SHBasis": model.card["SHBasis"],
        "Shells": [{key: shell[key] for key in SHELL_KEYS} for shell in model.card["Shells"]],
        "Validation": {
            key: value for key, value in model.validation.items() if key != "Uncertainty"
        },
        "Directions": job.output_directions,
        "VolumesUsed": int(sum(len(volumes) for volumes in representation.volumes)),
        "ClippedSignal": round(representation.clipped_share, 6),
        "InputsDigest": inputs_digest,
    }


def _scan_uri(scan: Scan) -> str:
    return bids_uri(scan.image, scan.dataset, scan.dataset_name)
