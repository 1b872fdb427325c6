"""The model card: content of model.json as frozen dataclasses.

docs/reference/model.md describes every key. A key is its field's name as `json_records` spells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.outputs.json_records import from_json, to_json
from bids_shresnet.pairs import Split
from bids_shresnet.scans import Acquisition
from bids_shresnet.settings import Method, NetworkConfig, TrainingConfig

Answer = Literal["yes", "no", "not enough subjects"]


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


@dataclass(frozen=True)
class BaselineAnswer:
    """Answer to whether the validated method is better than a baseline, with its p-values."""

    answer: Answer
    largest_p: float
    smallest_possible_p: float


@dataclass(frozen=True)
class SpreadGroup:
    """Voxels of similar spread: their mean spread and root mean square error, both of S/S0.

    The error is that of the network that did not see the subject, less the noise of the target's
    scan. It includes what the networks cannot know and errors of the registration; the spread
    includes neither.
    """

    spread: float
    error: float


@dataclass(frozen=True)
class SpreadCalibration:
    """Spearman correlation of spread and error over voxels, and groups of ascending spread."""

    rank_correlation: float
    groups: tuple[SpreadGroup, ...]


@dataclass(frozen=True)
class MissingShellError:
    """Mean NMSE of one predicted shell in one tissue of held-out subjects."""

    bvalue: float
    method: Method
    tissue: str
    nmse: float


@dataclass(frozen=True)
class EffectRecovery:
    """How much of a known effect is found again in one tissue and quantity.

    Attributes
    ----------
    effect, maps
        Name of the effect, and kind of the harmonized maps.
    n
        Number of subjects.
    put_in
        Relative change that was put in, mean over subjects.
    recovered
        Change found over change put in, mean over subjects; 1 is all of it.
    interval
        95 % bootstrap interval of `recovered` over subjects; None for very few subjects.
    false_positives
        Share of voxels beside the effect that change by more than noise alone lets 5 % of them
        change, mean over subjects; None if there are no such voxels.
    """

    effect: str
    maps: str
    tissue: str
    quantity: str
    n: int
    put_in: float
    recovered: float
    interval: tuple[float, float] | None = None
    false_positives: float | None = None


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Test that the site bias of a method lies within a margin.

    Attributes
    ----------
    region
        Tissue, or region of the input's parcellation.
    subjects
        Number of held-out subjects.
    bias
        Mean over subjects of the predicted mean relative to the target's, minus 1.
    interval
        90 % interval of the bias (Student); None for too few subjects, as p.
    margin
        Largest bias, of either sign, that counts as equivalent.
    p
        The larger p of two one-sided t-tests.
    answer
        "no" means that equivalence is not shown; it does not mean that there is a bias.
    """

    method: str
    region: str
    quantity: str
    subjects: int
    bias: float
    interval: tuple[float, float] | None = None
    margin: float
    p: float | None = None
    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Preservation:
    """Agreement of the differences between subjects with those that the target measured.

    Attributes
    ----------
    region
        Tissue, or region of the input's parcellation.
    subjects
        Number of held-out subjects.
    slope, slope_interval
        Slope of the predicted means on the target's over subjects, and its 95 % interval.
    icc, icc_interval
        ICC(2,1), absolute agreement of predicted and target's means, and its 95 % interval.
    rank_correlation
        Spearman correlation of predicted and target's means.
    detectable_change
        Smallest relative difference between a harmonized and a target scan of one subject that is
        no measurement error (95 %).
    """

    method: str
    region: str
    quantity: str
    subjects: int
    slope: float
    slope_interval: tuple[float, float]
    icc: float
    icc_interval: tuple[float, float]
    rank_correlation: float
    detectable_change: float


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Result of a cross-validation.

    Attributes
    ----------
    method
        Method that was validated.
    subjects
        Number of held-out subjects.
    better_than
        Answers by baseline.
    equivalence, preservation
        Of tissues: of no harmonization first, then of the method.
    uncertainty
        Relation of spread and error; None where it cannot be computed.
    missing_shells
        Errors of the predicted shells.
    effects
        How much of known effects is found again.
    """

    method: Method
    subjects: int
    better_than: Mapping[str, BaselineAnswer]
    equivalence: tuple[Equivalence, ...] = ()
    preservation: tuple[Preservation, ...] = ()
    uncertainty: SpreadCalibration | None = None
    missing_shells: tuple[MissingShellError, ...] = ()
    effects: tuple[EffectRecovery, ...] = ()


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
    folds: tuple[FoldRecord, ...]
    target_denoiser: DenoiserRecord | None = None
    software: Mapping[str, str]
    validation: Validation | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ModelCard:
        """Read the content of a valid model.json."""
        return from_json(cls, record)

    def to_json(self) -> dict[str, Any]:
        """Return the content of model.json."""
        return dict(to_json(self))
