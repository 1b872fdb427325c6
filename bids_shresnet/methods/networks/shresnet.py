"""The harmonizer of this app: SHResNet with calibrated amplitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.diffusion.rish import project_rish
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.networks.head_samples import read_head_samples
from bids_shresnet.methods.networks.modules import load_module, module_arrays
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.methods.sampling import draw_rows, read_samples
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.amplitude_fit import fit_amplitude_head
from bids_shresnet.network.patches import (
    apply_to_patches,
    patches_to_rows,
)
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet
from bids_shresnet.network.training_loop import History, Samples, fit_network
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import NetworkConfig

VALIDATION_VOXELS = 10_000  # the same ones in every epoch
NETWORK_PREFIX = "network."  # of the names of stored arrays
HEAD_PREFIX = "head."


@dataclass(frozen=True)
class ShresnetHarmonizer:
    """A trained network and its amplitude head.

    Attributes
    ----------
    head
        None if the amplitudes were not calibrated.
    is_calibrated
        False to leave out the head.
    is_projected
        True to keep the orientations of the scan (Eq. 1 of the paper).
    """

    network: SHResNet
    head: AmplitudeHead | None = None
    is_calibrated: bool = True
    is_projected: bool = False

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the voxels of the mask."""
        device = next(self.network.parameters()).device
        volume = torch.tensor(image.channels, dtype=torch.float32, device=device)
        voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
        result = apply_to_patches(self._predict_patches, volume, voxels)
        predicted: Float[np.ndarray, "v c"] = result.cpu().numpy()
        if not self.is_projected:
            return predicted
        measured = image.coefficients[image.mask]
        return project_rish(measured, predicted, order_indices(image.shells))

    def _predict_patches(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        predicted: Tensor = self.network(patches)
        if self.head is None or not self.is_calibrated:
            return predicted
        calibrated: Tensor = self.head(patches_to_rows(patches), predicted)
        return calibrated

    def arrays(self) -> Arrays:
        """Return the weights of the network and of the head."""
        arrays = module_arrays(self.network, NETWORK_PREFIX)
        if self.head is not None:
            arrays |= module_arrays(self.head, HEAD_PREFIX)
        return arrays

    def record(self) -> dict[str, Any]:
        """Return the architecture of the network and the width of the head."""
        return {
            "architecture": self.network.architecture.to_record(),
            "head": self.head.hidden if self.head else None,
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
    head, notes = calibrate_amplitudes(network, task) if task.network.calibrate else (None, None)
    harmonizer = ShresnetHarmonizer(network.cpu(), head)
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
    """Train a network on patches, with early stopping on the validation subject."""
    subjects = [subject.matched for subject in task.training]
    validation = task.validation.matched
    order = np.random.default_rng([task.seed, 0]).permutation(len(validation.tissue))
    validation_rows = np.sort(order[:VALIDATION_VOXELS])

    def draw_samples(epoch: int) -> Samples:
        rows = draw_rows(
            subjects, task.training_config.voxels_per_epoch, seed=[task.seed, 1, epoch]
        )
        return read_samples(subjects, rows)

    return fit_network(
        network,
        draw_samples,
        read_samples([validation], [validation_rows]),
        task.training_config,
        seed=task.seed,
        on_epoch=task.on_epoch,
        saved_state=task.saved_state,
        save_state=task.save_state,
    )


def calibrate_amplitudes(
    network: SHResNet, task: FitTask
) -> tuple[AmplitudeHead | None, Mapping[str, Any]]:
    """Fit the amplitude head.

    Returns
    -------
    The head, and notes on its fit. The head is None if the target's noise is not known (one b0 and
    no spare directions).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        head = AmplitudeHead(task.outputs, input_counts=task.input_counts).to(task.device)
    samples = read_head_samples(network, head, task)
    if not len(samples.tissue):
        return None, {"calibration": "none: the target's noise is not known"}
    loss = fit_amplitude_head(
        head, samples.features, samples.lengths, samples.tissue, seed=task.seed
    )
    return head.cpu().eval(), {"calibration": {"loss": loss, "stretch": head.stretch.tolist()}}


def load_shresnet(
    arrays: Arrays, record: Mapping[str, Any], device: str = "cpu"
) -> ShresnetHarmonizer:
    """Load a network and its head from their arrays and record.

    Raises
    ------
    ValueError
        If the arrays are not those of the record.
    """
    architecture = Architecture.from_record(record["architecture"])
    _check_depth(architecture, len(arrays))
    network = load_module(lambda: SHResNet(architecture), arrays, NETWORK_PREFIX).to(device)
    if record["head"] is None:
        return ShresnetHarmonizer(network)
    head = load_module(
        lambda: AmplitudeHead(architecture.outputs, record["head"], architecture.input_counts),
        arrays,
        HEAD_PREFIX,
    )
    return ShresnetHarmonizer(network, head.to(device))


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
