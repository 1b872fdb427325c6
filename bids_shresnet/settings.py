"""Settings of the methods, the network and its training; what the paper and the defaults use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal[
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
METHODS: tuple[Method, ...] = get_args(Method)
METHOD_NAMES: Mapping[str, str] = {  # for readers, in the order of tables
    "sh_projection": "SH projection only",
    "order_gain": "gain per SH order",
    "linear_rish": "linear RISH",
    "patch_linear": "linear on patches",
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
    """Show the network S0 as well, relative to its surroundings: it tells tissues apart that look alike in S/S0."""
    skip: bool = True
    """Start from the linear regression of the patch, and let the network learn what that cannot do."""
    calibrate: bool = True
    """Give the predicted order 2 the amplitude that the target's signal has. A prediction alone flattens anisotropy."""


@dataclass(frozen=True)
class TrainingConfig:
    """The schedule: how long, in which steps, and how the step size changes."""

    folds: int = 10
    """Networks per scanner pair, trained on different subjects; one a subject if there are fewer."""
    schedule: Literal["annealed", "two-stage"] = "annealed"
    """annealed: Adam whose step size rises and then falls to nothing over `max-epochs`. two-stage: the paper's, Adam
    for a start, then SGD until the validation subject sees no more progress."""
    voxels_per_epoch: int = 80_000
    """Voxels drawn for one epoch; 0 draws all."""
    max_epochs: int = 10
    """End of training if early stopping has not ended it."""
    adam_epochs: int = 5
    """two-stage: epochs of the first stage."""
    adam_learning_rate: float = 1e-3
    """Step size of Adam; its highest where it is annealed."""
    adam_batch: int = 256
    """Voxels a step of Adam."""
    sgd_learning_rate: float = 1e-3
    """two-stage: first step size of SGD."""
    sgd_momentum: float = 0.9
    """two-stage: momentum of SGD."""
    sgd_batch: int = 128
    """two-stage: voxels a step of SGD."""
    decay: float = 0.9
    """two-stage: factor on SGD's step size after `decay-patience` epochs without progress."""
    decay_patience: int = 5
    """two-stage: epochs without progress of the validation loss before the step size falls."""
    stop_patience: int = 10
    """Epochs without progress of the validation loss before training ends."""


@dataclass(frozen=True)
class FitSettings:
    """How harmonizers are fitted: all that weights depend on beside the data and the method."""

    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    seed: int = 2018
    device: str = "cpu"


SLOPPY_TRAINING = TrainingConfig(voxels_per_epoch=1000, max_epochs=2, adam_epochs=1)
PAPER_NETWORK = NetworkConfig(contrast=False, skip=False, calibrate=False)
PAPER_TRAINING = TrainingConfig(schedule="two-stage", voxels_per_epoch=0, max_epochs=200)
SH_ORDERS = (2, 4, 6, 8)  # a diffusion signal is even
DEFAULT_METHOD = "shresnet"  # the method that the app offers
NO_HARMONIZATION = "no_harmonization"  # leaving the scans as they are
