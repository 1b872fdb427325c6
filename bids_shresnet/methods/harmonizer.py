"""What every method is: something fitted on travelling subjects that predicts the target's coefficients of a scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

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
        """Coefficients of the mask's voxels as the target would have measured them."""

    def arrays(self) -> Arrays:
        """All that was learned."""

    def record(self) -> dict[str, Any]:
        """All else that is needed to build it anew, as plain JSON."""


@dataclass(frozen=True)
class FitTask:
    """What a method is fitted on.

    Attributes
    ----------
    training
        Subjects to learn from.
    validation
        Subject that decides when to stop.
    shells
        Of the source.
    missing_shells
        Shells to predict in their stead, which the subjects' labels are then of.
    saved_state, save_state
        State of a training that was stopped, and what is given the state after every epoch.
    """

    training: Sequence[TravellingSubject]
    validation: TravellingSubject
    shells: tuple[Shell, ...]
    network: NetworkConfig
    schedule: TrainingConfig
    seed: int
    missing_shells: tuple[Shell, ...] = ()
    device: str = "cpu"
    on_epoch: Callable[[Epoch], None] = lambda _: None
    saved_state: TrainingState | None = None
    save_state: Callable[[TrainingState], None] = lambda _: None

    @property
    def outputs(self) -> tuple[int, ...]:
        """Number of coefficients of every order and shell that is predicted."""
        return tuple(len(group) for group in order_indices(self.missing_shells or self.shells))

    @property
    def input_counts(self) -> tuple[int, ...]:
        """The same of the source, where that is not what is predicted."""
        return (
            tuple(len(group) for group in order_indices(self.shells)) if self.missing_shells else ()
        )


@dataclass(frozen=True)
class FitResult:
    """A fitted harmonizer and, if it was trained in epochs, how that went."""

    harmonizer: Harmonizer
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int = -1
    notes: Mapping[str, Any] | None = None


def combine_predictions(
    predictions: Sequence[Float[np.ndarray, "v c"]], shells: Sequence[Shell]
) -> Float[np.ndarray, "v c"]:
    """The mean of several harmonizers, with the mean of their amplitudes.

    A mean of vectors is shorter than they are on average, where they disagree; every order gets its length back.
    """
    mean = np.mean(predictions, axis=0)
    if len(predictions) == 1:
        return np.asarray(mean)
    tiny = np.finfo(np.float32).tiny
    for group in order_indices(shells)[1:]:
        if len(group) > 1:
            length = np.mean(
                [np.linalg.norm(part[:, group], axis=1) for part in predictions], axis=0
            )
            mean[:, group] *= (length / np.maximum(np.linalg.norm(mean[:, group], axis=1), tiny))[
                :, None
            ]
    return np.asarray(mean)


def prediction_spread(
    predictions: Sequence[Float[np.ndarray, "v c"]], matrix: Float[np.ndarray, "d c"]
) -> Float[np.ndarray, " v"]:
    """Standard deviation of the predicted S/S0 over the harmonizers, root mean square over the directions."""
    signals = np.stack([part @ matrix.T for part in predictions])
    return np.asarray(np.sqrt(signals.var(axis=0, ddof=1).mean(axis=1)))
