"""The model card: content of model.json as frozen dataclasses.

docs/reference/model.md describes every key. A key is its field's name as `json_records` spells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.outputs.json_records import from_json, to_json
from bids_shresnet.outputs.model.validation import Validation
from bids_shresnet.pairs import Split
from bids_shresnet.scans import Acquisition
from bids_shresnet.settings import Method, NetworkConfig, TrainingConfig


@dataclass(frozen=True)
class ScannerRecord:
    """A scanner in the words of the sidecar that named it; only a label where the user did."""

    label: str
    manufacturer: str = ""
    manufacturers_model_name: str = ""
    device_serial_number: str = ""


@dataclass(frozen=True)
class ShellRecord:
    """A shell of the source and of the target: b-values (s/mm2) and the target's directions.

    Attributes
    ----------
    source_direction_count
        Number of directions of the source that the smoothing is made for.
    """

    source_bvalue: float
    target_bvalue: float
    sh_order: int
    source_direction_count: int
    target_directions: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MissingShellRecord:
    """A shell that only the target has: its b-value (s/mm2) and its directions."""

    target_bvalue: float
    sh_order: int
    target_directions: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class DatasetRecord:
    """Name and SHA-256 of a dataset's description."""

    name: str
    sha256: str


@dataclass(frozen=True)
class GivenImages:
    """How many scans of travelling subjects came with images that the app otherwise computes.

    Attributes
    ----------
    masks
        Scans of source and target with a brain mask.
    tissues
        Scans of the target with a segmentation of tissues.
    """

    masks: int
    tissues: int


@dataclass(frozen=True)
class ModelFile:
    """A safetensors file of the model folder."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FoldRecord:
    """One fitted method.

    Attributes
    ----------
    missing_shells
        Weights that predict the missing shells, if the model does.
    training, validation, test
        Labels of its subjects.
    best_epoch
        Epoch whose weights were kept; -1 for a method without epochs, which has no losses.
    measurement_noise
        Noise of the target in the scans of the training subjects; None if it is not known.
    notes
        What else the fit reports; None if nothing.
    """

    weights: ModelFile
    novelty: ModelFile
    missing_shells: ModelFile | None = None
    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    best_epoch: int
    measurement_noise: MeasurementNoise | None = None
    training_loss: float | None = None
    validation_loss: float | None = None
    notes: Mapping[str, Any] | None = None

    @property
    def split(self) -> Split:
        """Subjects of the fold."""
        return Split(training=self.training, validation=self.validation, test=self.test)

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """All files of the fold."""
        missing_shells = (self.missing_shells,) if self.missing_shells else ()
        return (self.weights, self.novelty, *missing_shells)


@dataclass(frozen=True)
class DenoiserRecord:
    """The network that removes noise from the target's own scans, and its subjects."""

    weights: ModelFile
    training: tuple[str, ...]
    validation: tuple[str, ...]
    best_epoch: int
    validation_loss: float


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Content of model.json.

    Attributes
    ----------
    fitted_as
        Method that was fitted; `method` is how it is applied by default.
    harmonizer
        What the weights need to become the fitted method again; its form depends on the method.
    source_acquisition, target_acquisition
        Of the first travelling subject.
    subjects
        Travelling subjects, each with the SHA-256 of its training data.
    all_subjects
        The fit to all travelling subjects, which is applied to others; it holds out nobody.
    target_denoiser
        Network that denoises the target's scans; None if these have too few directions.
    software
        Versions by package.
    validation
        None until the model is cross-validated.
    """

    name: str
    description: str
    method: Method
    method_name: str
    fitted_as: Method
    source_scanner: ScannerRecord
    target_scanner: ScannerRecord
    source_acquisition: Acquisition
    target_acquisition: Acquisition
    sh_basis: str
    sh_smoothing: float
    shells: tuple[ShellRecord, ...]
    missing_shells: tuple[MissingShellRecord, ...] = ()
    network: NetworkConfig
    harmonizer: Mapping[str, Any]
    training: TrainingConfig
    seed: int
    dataset: DatasetRecord
    subjects: Mapping[str, str]
    given_images: GivenImages
    folds: tuple[FoldRecord, ...]
    all_subjects: FoldRecord
    target_denoiser: DenoiserRecord | None = None
    software: Mapping[str, str]
    validation: Validation | None = None

    @property
    def fits(self) -> tuple[FoldRecord, ...]:
        """The folds, and the fit to all subjects."""
        return (*self.folds, self.all_subjects)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ModelCard:
        """Read the content of a valid model.json."""
        return from_json(cls, record)

    def to_json(self) -> dict[str, Any]:
        """Return the content of model.json."""
        return dict(to_json(self))
