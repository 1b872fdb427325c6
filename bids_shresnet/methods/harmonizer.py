"""The interface of all methods: fit on travelling subjects, predict the target's coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.network.training_loop import Epoch
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.settings import NetworkConfig, TrainingConfig

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


@runtime_checkable
class Harmonizer(Protocol):
    """A fitted method."""

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the target's coefficients in the mask, in the order of `np.argwhere`."""

    def arrays(self) -> Arrays:
        """Return all fitted arrays."""

    def record(self) -> dict[str, Any]:
        """Return what else is needed to load the harmonizer, as plain JSON."""


@runtime_checkable
class ErrorPredictor(Protocol):
    """A fitted method that knows how far the target's signal may be from its prediction."""

    def predict_with_error(
        self, image: ShImage
    ) -> tuple[Float[np.ndarray, "v c"], Float[np.ndarray, "v k"] | None]:
        """Predict coefficients, and the variance of those of every order and shell about them.

        The variance is None if it was not learned for the way in which the method is applied.
        """


HarmonizerT = TypeVar("HarmonizerT", bound=Harmonizer, covariant=True)


@dataclass(frozen=True)
class FitTask:
    """Data and settings that a method is fitted with.

    Attributes
    ----------
    training
        Subjects to train on.
    validation
        Subject for early stopping; None to train all epochs.
    shells
        Shells of the source.
    network
        Settings of the network.
    training_config
        Settings of the training.
    missing_shells
        Shells to predict instead of `shells`; the subjects' signal then belongs to them.
    on_epoch
        Called after every epoch.
    saved_state
        State of the same training when it was stopped.
    save_state
        Called with the state after every epoch.
    registrations
        Folder of registrations that other folds may need as well; None to keep none.
    """

    training: Sequence[TravellingSubject]
    validation: TravellingSubject | None
    shells: tuple[Shell, ...]
    network: NetworkConfig
    training_config: TrainingConfig
    seed: int
    missing_shells: tuple[Shell, ...] = ()
    device: str = "cpu"
    on_epoch: Callable[[Epoch], None] = lambda _: None
    saved_state: TrainingState | None = None
    save_state: Callable[[TrainingState], None] = lambda _: None
    registrations: Path | None = None

    @property
    def outputs(self) -> tuple[int, ...]:
        """Number of coefficients of every order and shell that is predicted."""
        return _coefficient_counts(self.missing_shells or self.shells)

    @property
    def input_counts(self) -> tuple[int, ...]:
        """Number of coefficients of every order and shell of the source, if not `outputs`."""
        return _coefficient_counts(self.shells) if self.missing_shells else ()


@dataclass(frozen=True)
class FitResult(Generic[HarmonizerT]):
    """A fitted harmonizer and, if it was trained in epochs, their course."""

    harmonizer: HarmonizerT
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int = -1
    notes: Mapping[str, Any] | None = None


def combine_predictions(
    predictions: Sequence[Float[np.ndarray, "v c"]], shells: Sequence[Shell]
) -> Float[np.ndarray, "v c"]:
    """Average the predictions of several harmonizers, and their amplitudes.

    Where vectors disagree, their mean is shorter than they are on average. Every order above 0 is
    therefore scaled to the mean length.
    """
    mean = np.asarray(np.mean(predictions, axis=0))
    if len(predictions) == 1:
        return mean
    tiny = np.finfo(np.float32).tiny
    for group in order_indices(shells)[1:]:
        if len(group) == 1:
            continue
        lengths = [np.linalg.norm(prediction[:, group], axis=1) for prediction in predictions]
        gain = np.mean(lengths, axis=0) / np.maximum(np.linalg.norm(mean[:, group], axis=1), tiny)
        mean[:, group] *= gain[:, None]
    return mean


def _coefficient_counts(shells: Sequence[Shell]) -> tuple[int, ...]:
    return tuple(len(group) for group in order_indices(shells))
