"""The harmonizer of this app: SHResNet with calibrated amplitudes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.diffusion.rish import project_rish
from bids_shresnet.diffusion.spatial.regional_power import match_regions
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.networks.calibration import (
    average_log_ratios,
    calibrate_amplitudes,
    learn_error,
)
from bids_shresnet.methods.networks.modules import load_module, module_arrays
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.methods.sampling import draw_rows, read_samples
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.error_head import ErrorHead
from bids_shresnet.network.patches import (
    apply_to_patches,
    patches_to_rows,
)
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet
from bids_shresnet.network.training_loop import History, Samples, fit_network
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import NetworkConfig

HeadT = TypeVar("HeadT", bound=nn.Module)
VALIDATION_VOXELS = 10_000  # the same ones in every epoch
NETWORK_PREFIX = "network."  # of the names of stored arrays
HEAD_PREFIX = "head."
ERROR_HEAD_PREFIX = "error_head."
REGIONS_ARRAY = "usual_log_ratios"


@dataclass(frozen=True)
class ShresnetHarmonizer:
    """A trained network and its amplitude head.

    Attributes
    ----------
    head, error_head
        None if the amplitudes were not calibrated.
    usual_log_ratios
        Usual ratios of regional amplitudes (`diffusion/spatial/regional_power.py`); None if the
        power of the scans was not known.
    is_calibrated
        False to omit the head.
    is_projected
        True to keep the orientations of the scan (Eq. 1 of the paper).
    """

    network: SHResNet
    head: AmplitudeHead | None = None
    error_head: ErrorHead | None = None
    usual_log_ratios: Float[np.ndarray, "s 2"] | None = None
    is_calibrated: bool = True
    is_projected: bool = False

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the voxels of the mask."""
        predicted = self._match_regions(self._apply(image), image)
        if not self.is_projected:
            return predicted
        measured = image.coefficients[image.mask]
        return project_rish(measured, predicted, order_indices(image.shells))

    def predict_with_error(
        self, image: ShImage
    ) -> tuple[Float[np.ndarray, "v c"], Float[np.ndarray, "v k"] | None]:
        """Predict coefficients, and the variance of those of every order and shell about them."""
        if self.error_head is None or self.is_projected or not self.is_calibrated:
            return self.predict(image), None
        both = self._apply(image, self.error_head)
        count = sum(self.network.architecture.outputs)
        return self._match_regions(both[:, :count], image), both[:, count:]

    def _match_regions(
        self, predicted: Float[np.ndarray, "v c"], image: ShImage
    ) -> Float[np.ndarray, "v c"]:
        """Let regional amplitudes follow the scan's, if the method was fitted with them."""
        if self.head is None or not self.is_calibrated or self.usual_log_ratios is None:
            return predicted
        return match_regions(predicted, image, self.head.calibrated_slices, self.usual_log_ratios)

    def _apply(
        self, image: ShImage, error_head: ErrorHead | None = None
    ) -> Float[np.ndarray, "v n"]:
        """Predict the coefficients of the mask and, after them, the variances of an error head."""
        network = Predictor(self.network)
        head = self.head if self.is_calibrated else None

        def predict(patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b k"]:
            rows = patches_to_rows(patches)
            predicted: Tensor = network(patches)
            if head is not None:
                predicted = head(rows, predicted)
            if error_head is None:
                return predicted
            return torch.cat([predicted, error_head(rows, predicted)], dim=1)

        device = next(self.network.parameters()).device
        volume = torch.tensor(image.channels, dtype=torch.float32, device=device)
        voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
        return np.asarray(apply_to_patches(predict, volume, voxels).cpu().numpy())

    def arrays(self) -> Arrays:
        """Return the weights of the network and of the heads."""
        arrays = module_arrays(self.network, NETWORK_PREFIX)
        if self.head is not None:
            arrays |= module_arrays(self.head, HEAD_PREFIX)
        if self.error_head is not None:
            arrays |= module_arrays(self.error_head, ERROR_HEAD_PREFIX)
        if self.usual_log_ratios is not None:
            arrays[REGIONS_ARRAY] = self.usual_log_ratios
        return arrays

    def record(self) -> dict[str, Any]:
        """Return the architecture of the network and the widths of the heads."""
        return {
            "architecture": self.network.architecture.to_record(),
            "head": self.head.hidden if self.head else None,
            "error_head": self.error_head.hidden if self.error_head else None,
        }


def fit_shresnet(task: FitTask) -> FitResult[ShresnetHarmonizer]:
    """Train one network and its amplitude head.

    The same seed and number of threads give the same weights.
    """
    architecture = make_architecture(task.outputs, task.network, task.input_counts)
    network = build_shresnet(architecture, seed=task.seed)
    if network.skip is not None:
        init_skip_from_regression(network, task.training, task.device)
    history = train_network(network.to(task.device), task)
    network.eval()
    predictor = Predictor(network)
    head, notes = calibrate_amplitudes(predictor, task) if task.network.calibrate else (None, None)
    error_head = learn_error(predictor, head, task) if head and not task.missing_shells else None
    harmonizer = ShresnetHarmonizer(network, head, error_head)
    usual = None
    if head is not None and not task.missing_shells:
        usual = average_log_ratios(harmonizer.predict, head.calibrated_slices, task)
    harmonizer = replace(
        harmonizer, network=network.cpu(), head=head and head.cpu(), usual_log_ratios=usual
    )
    return FitResult(harmonizer, history.epochs, history.best_epoch, notes)


def fit_cdmri2017(task: FitTask) -> FitResult[ShresnetHarmonizer]:
    """Fit the authors' entry to the CDMRI 2017 challenge: one ResBlock without our additions."""
    plain = NetworkConfig(resblocks=1, contrast=False, skip=False, calibrate=False)
    return fit_shresnet(replace(task, network=plain))


def make_architecture(
    outputs: tuple[int, ...], config: NetworkConfig, input_counts: tuple[int, ...] = ()
) -> Architecture:
    """Describe a network with one functional unit per order and shell.

    By default the units are as wide as the largest shell has coefficients.
    """
    return Architecture(
        outputs=outputs,
        resblocks=config.resblocks,
        hidden=config.hidden or _largest_shell(outputs),
        has_contrast=config.contrast,
        has_skip=config.skip,
        input_counts=input_counts,
    )


def init_skip_from_regression(
    network: SHResNet, training: Sequence[TravellingSubject], device: str = "cpu"
) -> None:
    """Set the linear skip to a regression, from which training starts."""
    weights, offset = fit_ridge(training, network.architecture.input_channels, device)
    assert network.skip is not None
    with torch.no_grad():
        network.skip.weight.copy_(torch.from_numpy(weights.T.copy()))
        network.skip.bias.copy_(torch.from_numpy(offset))


def train_network(network: nn.Module, task: FitTask) -> History:
    """Train a network on patches, with early stopping on the validation subject, if any."""
    subjects = [subject.matched for subject in task.training]

    def draw_samples(epoch: int) -> Samples:
        rows = draw_rows(
            subjects, task.training_config.voxels_per_epoch, seed=[task.seed, 1, epoch]
        )
        return read_samples(subjects, rows)

    return fit_network(
        network,
        draw_samples,
        _read_validation(task),
        task.training_config,
        seed=task.seed,
        on_epoch=task.on_epoch,
        saved_state=task.saved_state,
        save_state=task.save_state,
    )


def _read_validation(task: FitTask) -> Samples | None:
    """Read the same voxels of the validation subject in every epoch."""
    if task.validation is None:
        return None
    matched = task.validation.matched
    order = np.random.default_rng([task.seed, 0]).permutation(len(matched.tissue))
    return read_samples([matched], [np.sort(order[:VALIDATION_VOXELS])])


def load_shresnet(
    arrays: Arrays, record: Mapping[str, Any], device: str = "cpu"
) -> ShresnetHarmonizer:
    """Load a network and its heads from their arrays and record.

    Raises
    ------
    ValueError
        If the arrays are not those of the record.
    """
    architecture = Architecture.from_record(record["architecture"])
    _check_depth(architecture, len(arrays))
    network = load_module(lambda: SHResNet(architecture), arrays, NETWORK_PREFIX).to(device)
    counts = (architecture.outputs, architecture.input_counts)
    head = _load_head(AmplitudeHead, counts, record["head"], arrays, HEAD_PREFIX)
    error_head = _load_head(ErrorHead, counts, record["error_head"], arrays, ERROR_HEAD_PREFIX)
    usual_log_ratios = arrays.get(REGIONS_ARRAY)
    if usual_log_ratios is not None:
        _check_log_ratios(usual_log_ratios, head)
    return ShresnetHarmonizer(
        network,
        head and head.to(device),
        error_head and error_head.to(device),
        usual_log_ratios,
    )


def _check_log_ratios(ratios: Shaped[np.ndarray, "..."], head: AmplitudeHead | None) -> None:
    """Raise ValueError unless there are two finite numbers for each calibrated shell."""
    count = len(head.calibrated_groups) if head else 0
    if ratios.shape != (count, 2) or not np.isfinite(ratios).all():
        msg = f"{REGIONS_ARRAY} should be {count} x 2 finite numbers, not {ratios.shape}"
        raise ValueError(msg)


def _load_head(
    head_type: Callable[..., HeadT],
    counts: tuple[tuple[int, ...], tuple[int, ...]],
    hidden: int | None,
    arrays: Arrays,
    prefix: str,
) -> HeadT | None:
    """Load a head of this width for these outputs and inputs; None if there is no width."""
    if hidden is None:
        return None
    outputs, input_counts = counts
    return load_module(lambda: head_type(outputs, hidden, input_counts), arrays, prefix)


def _check_depth(architecture: Architecture, array_count: int) -> None:
    """Raise ValueError for more layers than there are arrays, before they are built."""
    unit_count = architecture.resblocks * len(architecture.outputs)
    if not 0 <= unit_count <= array_count or len(architecture.outputs) > array_count:
        msg = f"{array_count} arrays are too few for {architecture}"
        raise ValueError(msg)


def _largest_shell(outputs: Sequence[int]) -> int:
    """Number of coefficients of the largest shell; each shell begins with its order 0."""
    shells: list[int] = []
    for count in outputs:
        if count == 1:
            shells.append(0)
        shells[-1] += count
    return max(shells)
