"""Settings of the methods, the network and its training; what the paper and the defaults use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

AppliedMethod = Literal[
    "sh_projection",
    "order_gain",
    "linear_rish",
    "patch_linear",
    "golkov",
    "cdmri2017",
    "shresnet_uncalibrated",
    "shresnet_projected",
    "shresnet",
]
# The others are only compared with: they know nothing of the target's signal, or predict none.
Method = Literal[AppliedMethod, "b_value_only", "denoised", "map_regression"]
NoiseChoice = Literal["none", "target"]  # noise that is drawn into a harmonized DWI
OutputType = Literal["input", "int16", "float32"]  # numbers of a harmonized DWI on disk
APPLIED_METHODS: tuple[AppliedMethod, ...] = get_args(AppliedMethod)
METHODS: tuple[Method, ...] = get_args(Method)
METHOD_NAMES: Mapping[str, str] = {  # for readers, in the order of tables
    "b_value_only": "b-value only",
    "denoised": "denoising only",
    "sh_projection": "SH projection only",
    "order_gain": "gain per SH order",
    "linear_rish": "linear RISH",
    "map_regression": "regression of FA and MD",
    "patch_linear": "linear patch regression",
    "golkov": "q-space network (Golkov)",
    "cdmri2017": "CDMRI 2017 network",
    "shresnet_uncalibrated": "SHResNet, not calibrated",
    "shresnet_projected": "SHResNet, RISH projection",
    "shresnet": "SHResNet",
}


@dataclass(frozen=True)
class NetworkConfig:
    """The network: SHResNet (Koppers et al. 2018)."""

    resblocks: int = 2
    """Number of ResBlocks; the paper's best is 2."""
    hidden: int | None = None
    """Channels inside a functional unit; by default as many as a shell has coefficients."""
    contrast: bool = True
    """Show the network S0 as well, relative to its surroundings. It tells tissues apart that are
    alike in S/S0."""
    skip: bool = True
    """Start from linear patch regression, and let the network learn the rest."""
    calibrate: bool = True
    """Scale the predicted order 2 to the amplitude of the target's signal. Predictions alone reduce
    anisotropy."""


CALIBRATION_VOXELS = 400_000  # with 200,000, the error of FA in white matter is 1 % larger


@dataclass(frozen=True)
class TrainingConfig:
    """The training schedule: number of epochs, batches and learning rates."""

    folds: int = 10
    """Networks per scanner pair, trained on different subjects; with fewer subjects, one network
    per subject."""
    schedule: Literal["annealed", "two-stage"] = "annealed"
    """annealed: Adam with a learning rate that rises and then falls to zero over `max-epochs`.
    two-stage: as in the paper, first Adam, then SGD until the validation loss stops falling."""
    voxels_per_epoch: int = 80_000
    """Voxels drawn for each epoch; 0 uses all."""
    max_epochs: int = 5
    """Largest number of epochs; early stopping may end the training before. annealed: networks that
    do not start from a regression (golkov, cdmri2017) take twice as many."""
    adam_epochs: int = 5
    """two-stage: epochs of the first stage."""
    adam_learning_rate: float = 1.4e-3
    """Learning rate of Adam; annealed: its maximum."""
    adam_batch: int = 512
    """Voxels per step of Adam."""
    sgd_learning_rate: float = 1e-3
    """two-stage: first learning rate of SGD."""
    sgd_momentum: float = 0.9
    """two-stage: momentum of SGD."""
    sgd_batch: int = 128
    """two-stage: voxels per step of SGD."""
    decay: float = 0.9
    """two-stage: factor on SGD's learning rate after `decay-patience` epochs without progress."""
    decay_patience: int = 5
    """two-stage: epochs without progress of the validation loss before the learning rate falls."""
    stop_patience: int = 11
    """Epochs without progress of the validation loss after which training ends; the paper's "more
    than ten"."""

    @property
    def largest_draw(self) -> int:
        """Voxels that are in memory at a time, for an epoch or the amplitude head; 0 if all are."""
        return self.voxels_per_epoch and max(self.voxels_per_epoch, CALIBRATION_VOXELS)


@dataclass(frozen=True)
class FitSettings:
    """All settings that the weights of a method depend on, besides its data."""

    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    seed: int = 2018
    device: str = "cpu"


SLOPPY_TRAINING = TrainingConfig(voxels_per_epoch=1000, max_epochs=2, adam_epochs=1)
PAPER_NETWORK = NetworkConfig(contrast=False, skip=False, calibrate=False)
PAPER_TRAINING = TrainingConfig(
    schedule="two-stage",
    voxels_per_epoch=0,
    max_epochs=200,
    adam_learning_rate=1e-3,
    adam_batch=256,
)
SH_ORDERS = (2, 4, 6, 8)  # a diffusion signal is even
DEFAULT_METHOD: AppliedMethod = "shresnet"
NO_HARMONIZATION = "no_harmonization"  # the scans as they are, as a method to compare with
