"""JSON sidecars of a harmonized DWI, its mask and its maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bids_shresnet.diffusion.spatial.roughness import describe_roughness
from bids_shresnet.harmonization.harmonized_scan import NOISE_DRAWS, HarmonizedScan
from bids_shresnet.harmonization.jobs import HarmonizeJob
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.inputs.acquisition import read_acquisition
from bids_shresnet.io.gradients.gradient_tables import BVEC_AXES_DESCRIPTIONS
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.outputs.model.card import ShellRecord
from bids_shresnet.outputs.model.endpoint_errors import EndpointError
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.model.validation import Validation
from bids_shresnet.outputs.sidecars import Sidecar, bids_uri, scan_uri
from bids_shresnet.planning.checks.protocols import Protocol, describe_differences
from bids_shresnet.scans import Scan
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION, Method

COVERAGE_KEY = "CoverageFactors95"  # of the record of a harmonization, for the uncertainty maps
UNCERTAINTY_DESCRIPTION = (
    "Standard deviation of S/S0 of the target scanner about the harmonized one (root mean square "
    "over shells), learned from the errors on travelling subjects. Noise of a measurement is not "
    f"part of it. Half of a 95 % interval is {COVERAGE_KEY} times the map, if it is known. 0 where "
    "the signal stays as measured."
)
MASK_DESCRIPTION = (
    "Brain. Voxels without measurable signal in or around them, and with --abstain those with a "
    "novelty above 1, are not harmonized: they keep the measured signal, brought to the target's "
    "b-values, and have none in the target's directions. The uncertainty map of the signal is 0 "
    "there."
)
NOVELTY_DESCRIPTION = (
    "Distance of the scan from the training data of the model, in units of the distance that 2 % "
    "of healthy brain exceed: above 1 the tissue is unlike the training data. 0: no signal to "
    "judge by."
)
PREDICTED_SHELLS_NOTE = (
    " The volumes of PredictedShells were not measured in any form: they are predicted from the "
    "other shells."
)
COMPUTED_MASK_METHOD = (
    "median_otsu (DIPY) on the mean b0, its largest piece without holes, widened by one voxel"
)
COMPUTED_TISSUE_METHOD = (
    "CSF by its loss of signal in the first shell; of the rest, white matter is the half with most "
    "and grey matter the third with least anisotropy around a voxel"
)


def mask_sidecar(scan: Scan, description: str = MASK_DESCRIPTION) -> Sidecar:
    """Return the sidecar of the brain mask."""
    method = f"copied from {scan.mask.name}" if scan.mask else COMPUTED_MASK_METHOD
    return Sidecar(
        description=description,
        sources=[scan_uri(scan)],
        is_skull_stripped=False,
        fields={"Type": "Brain", "Method": method},
    )


def tissue_sidecar(scan: Scan) -> Sidecar:
    """Return the sidecar of the segmentation of tissues."""
    segmentation = scan.segmentation
    names = ", ".join(path.name for path in segmentation.files) if segmentation else ""
    return Sidecar(
        description="Grey matter, white matter and CSF, as the means of tissues use them.",
        sources=[scan_uri(scan)],
        is_skull_stripped=True,
        fields={"Method": f"resampled from {names}" if names else COMPUTED_TISSUE_METHOD},
    )


def uncertainty_sidecar(scan: Scan, record: Mapping[str, Any]) -> Sidecar:
    """Return the sidecar of the uncertainty of the signal.

    `record` is the `Harmonization` of the DWI's sidecar.
    """
    factors = {COVERAGE_KEY: record[COVERAGE_KEY]} if COVERAGE_KEY in record else {}
    return _map_sidecar(scan, UNCERTAINTY_DESCRIPTION, {"Harmonization": factors})


def novelty_sidecar(scan: Scan) -> Sidecar:
    """Return the sidecar of the novelty map."""
    return _map_sidecar(scan, NOVELTY_DESCRIPTION)


def dwi_sidecar(outputs: ScanOutputs, model: Model, record: Mapping[str, Any]) -> Sidecar:
    """Return the sidecar of the harmonized DWI with the record of its harmonization."""
    scan = outputs.scan
    description = f"DWI as the scanner {model.target} would have measured it; b0 volumes unchanged."
    if "PredictedShells" in record:
        description += PREDICTED_SHELLS_NOTE
    return Sidecar(
        description=description,
        sources=[scan_uri(scan), _model_uri(outputs, model)],
        is_skull_stripped=bool(scan.metadata.get("SkullStripped", False)),
        scan_metadata=scan.metadata,
        fields={
            "GradientConvention": BVEC_AXES_DESCRIPTIONS[scan.bvec_axes],
            "Harmonization": record,
        },
    )


def harmonization_record(
    job: HarmonizeJob, model: Model, harmonized: HarmonizedScan
) -> dict[str, Any]:
    """Return `Harmonization` of the DWI's sidecar: the model, how it was applied, and how well."""
    card = model.card
    record: dict[str, Any] = {
        "Method": harmonized.method,
        "MethodName": METHOD_NAMES[harmonized.method],
        "Model": model.name,
        "ModelSHA256": model.digest,
        "SourceScanner": to_json(card.source_scanner),
        "TargetScanner": to_json(card.target_scanner),
        "SubjectInTraining": job.is_travelling,
        "Network": job.select_fit(model).weights.file,
        **_acquisition_record(job.scan, model, harmonized.roughness_ratio),
        "SHBasis": card.sh_basis,
        "Shells": [_shell_summary(shell) for shell in card.shells],
        "Validation": _validation_summary(card.validation),
        "Directions": job.options.output_directions,
        "VolumesUsed": harmonized.used_volume_count,
        "ClippedSignal": round(harmonized.clipped_fraction, 6),
        **_noise_record(harmonized, job.options),
        **_coverage_record(harmonized, card.validation),
        "Novelty": {
            "MarkedFraction": round(harmonized.novel_fraction, 6),
            "LeftUnharmonized": job.options.should_abstain,
        },
    }
    errors = _held_out_errors(job, model, harmonized.method)
    if errors:
        record["HeldOutErrors"] = to_json(errors)
    if job.options.should_predict_missing:
        record["PredictedShells"] = predicted_shells(model, harmonized.measured_volume_count)
    return record


def _noise_record(harmonized: HarmonizedScan, options: HarmonizeOptions) -> dict[str, Any]:
    """Return the target's noise and where it is: in FA and MD, and in the DWI on request."""
    noise_model = harmonized.noise_model
    if noise_model is None:
        return {}
    record = {
        **to_json(noise_model.noise),
        "DrawsOfMaps": NOISE_DRAWS,
        "InDWI": options.noise == "target",
        "Seed": noise_model.seed,
    }
    return {"MeasurementNoise": record}


def _coverage_record(harmonized: HarmonizedScan, validation: Validation | None) -> dict[str, Any]:
    """Return the half widths of 95 % intervals in standard deviations, if both are known."""
    if harmonized.uncertainty is None or validation is None or validation.uncertainty is None:
        return {}
    return {COVERAGE_KEY: validation.uncertainty.coverage_factors_95}


def _acquisition_record(scan: Scan, model: Model, roughness_ratio: float) -> dict[str, Any]:
    """Return how the scan was acquired, and what differs from the scans of the training."""
    acquisition = read_acquisition(scan)
    differences = [
        *describe_differences(scan, acquisition, Protocol.of_source(model)),
        *describe_roughness(roughness_ratio),
    ]
    return {"Acquisition": to_json(acquisition), "ProtocolDifferences": differences}


def _shell_summary(shell: ShellRecord) -> dict[str, Any]:
    """Return a shell without the target's gradient table."""
    return {
        "SourceBValue": shell.source_bvalue,
        "TargetBValue": shell.target_bvalue,
        "SHOrder": shell.sh_order,
        "SourceDirectionCount": shell.source_direction_count,
    }


def _validation_summary(validation: Validation | None) -> dict[str, Any]:
    """Return a validation result without what only describes the model."""
    if validation is None:
        return {}
    return dict(to_json(replace(validation, uncertainty=None, preservation=())))


def _map_sidecar(
    scan: Scan, description: str, fields: Mapping[str, Any] = MappingProxyType({})
) -> Sidecar:
    return Sidecar(
        description=description,
        sources=[scan_uri(scan)],
        is_skull_stripped=True,
        fields={"Units": "arbitrary", **fields},
    )


def _model_uri(outputs: ScanOutputs, model: Model) -> str:
    """Return a BIDS URI of the model card if it is in the output, else its file URI."""
    card = model.card_file.absolute()
    if card.is_relative_to(outputs.root.absolute()):
        return bids_uri(card, outputs.root)
    return card.as_uri()


def _held_out_errors(
    job: HarmonizeJob, model: Model, method: Method
) -> dict[str, dict[str, EndpointError]]:
    """Return the cross-validated errors of a travelling subject: unharmonized and harmonized."""
    if not job.is_travelling:
        return {}
    errors = model.held_out_errors(job.scan.subject)
    return {name: errors[name] for name in (NO_HARMONIZATION, method) if name in errors}


def predicted_shells(model: Model, first_volume: int) -> list[dict[str, Any]]:
    """Return the predicted shells with the indices of their volumes, which were never measured."""
    records = []
    for shell, directions in zip(model.missing_shells, model.missing_shell_directions, strict=True):
        end = first_volume + len(directions)
        volumes = list(range(first_volume, end))
        records.append({"BValue": shell.bvalue, "SHOrder": shell.sh_order, "Volumes": volumes})
        first_volume = end
    return records
