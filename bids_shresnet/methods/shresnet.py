"""The harmonizer of this app: SHResNet, fitted on travelling subjects, with calibrated amplitudes."""

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
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.methods.sampling import draw_rows, read_samples, target_lengths
from bids_shresnet.network.amplitude import AmplitudeHead, Lengths
from bids_shresnet.network.amplitude_fit import fit_amplitude_head
from bids_shresnet.network.patches import (
    PATCHES_PER_CHUNK,
    apply_to_patches,
    patches_to_rows,
    rows_to_patches,
)
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet
from bids_shresnet.network.training_loop import History, fit_network
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import NetworkConfig

VALIDATION_VOXELS = 30_000  # enough to tell losses apart by 0.1 %
CALIBRATION_VOXELS = 400_000


@dataclass(frozen=True)
class ShresnetHarmonizer:
    """A trained network and, unless it is left out, its amplitude head.

    Attributes
    ----------
    is_calibrated
        Whether the head is used.
    is_projected
        Whether the scan's own orientations are kept (the paper's Eq. 1).
    """

    network: SHResNet
    head: AmplitudeHead | None = None
    is_calibrated: bool = True
    is_projected: bool = False

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the mask's voxels."""
        device = next(self.network.parameters()).device
        volume = torch.tensor(image.channels, dtype=torch.float32, device=device)
        voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
        predicted: Float[np.ndarray, "v c"] = (
            apply_to_patches(self._predict_patches, volume, voxels).cpu().numpy()
        )
        if self.is_projected:
            orders = order_indices(image.shells)
            predicted = project_rish(image.coefficients[image.mask], predicted, orders).coefficients
        return predicted

    def _predict_patches(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        predicted: Tensor = self.network(patches)
        if self.head is None or not self.is_calibrated:
            return predicted
        calibrated: Tensor = self.head(patches_to_rows(patches), predicted)
        return calibrated

    def arrays(self) -> Arrays:
        """Weights of the network and of the head."""
        parts: dict[str, nn.Module] = {"network": self.network} | (
            {"head": self.head} if self.head else {}
        )
        return {
            f"{part}.{name}": value.cpu().numpy()
            for part, module in parts.items()
            for name, value in module.state_dict().items()
        }

    def record(self) -> dict[str, Any]:
        """What both are built from."""
        return {
            "architecture": self.network.architecture.to_record(),
            "head": self.head.hidden if self.head else None,
        }


def make_architecture(
    outputs: tuple[int, ...], config: NetworkConfig, input_counts: tuple[int, ...] = ()
) -> Architecture:
    """One functional unit an order and shell; inside, by default, as wide as the largest shell has coefficients."""
    hidden = config.hidden or max(sum(shell) for shell in counts_by_shell(outputs))
    return Architecture(
        outputs,
        config.resblocks,
        hidden,
        has_contrast=config.contrast,
        has_skip=config.skip,
        input_counts=input_counts,
    )


def counts_by_shell(outputs: tuple[int, ...]) -> list[list[int]]:
    """Number of coefficients of every order, by shell: each begins with its order 0."""
    shells: list[list[int]] = []
    for count in outputs:
        if count == 1:
            shells.append([])
        shells[-1].append(count)
    return shells


def fit_shresnet(task: FitTask) -> FitResult:
    """Train one network and its amplitude head; the same seed and thread count give the same weights."""
    network = build_shresnet(
        make_architecture(task.outputs, task.network, task.input_counts), seed=task.seed
    )
    if network.skip is not None:
        init_skip_from_regression(network, task.training)
    history = train_network(network.to(task.device), task)
    network.cpu().eval()
    if not task.network.calibrate:
        return FitResult(ShresnetHarmonizer(network), history.epochs, history.best_epoch)
    head, notes = calibrate_amplitudes(network, task)
    return FitResult(ShresnetHarmonizer(network, head), history.epochs, history.best_epoch, notes)


def fit_cdmri2017(task: FitTask) -> FitResult:
    """The authors' entry to the CDMRI 2017 challenge: one ResBlock, no projection, and nothing of ours."""
    plain = NetworkConfig(resblocks=1, contrast=False, skip=False, calibrate=False)
    return fit_shresnet(replace(task, network=plain))


def init_skip_from_regression(network: SHResNet, training: Sequence[TravellingSubject]) -> None:
    """Set the linear skip to the regression, from which training then goes on."""
    weights, offset = fit_ridge(training, network.architecture.input_channels)
    assert network.skip is not None
    with torch.no_grad():
        network.skip.weight.copy_(torch.from_numpy(weights.T.copy()))
        network.skip.bias.copy_(torch.from_numpy(offset))


def train_network(network: nn.Module, task: FitTask) -> History:
    """Train a network on patches, stopping by the validation subject."""
    subjects, validation = [subject.matched for subject in task.training], task.validation.matched
    rows = np.random.default_rng([task.seed, 0]).permutation(len(validation.tissue))[
        :VALIDATION_VOXELS
    ]
    voxels = task.schedule.voxels_per_epoch
    return fit_network(
        network,
        lambda epoch: read_samples(
            subjects, draw_rows(subjects, voxels, seed=[task.seed, 1, epoch])
        ),
        read_samples([validation], [np.sort(rows)]),
        task.schedule,
        seed=task.seed,
        on_epoch=task.on_epoch,
        saved_state=task.saved_state,
        save_state=task.save_state,
    )


def calibrate_amplitudes(
    network: SHResNet, task: FitTask
) -> tuple[AmplitudeHead | None, Mapping[str, Any]]:
    """Learn the target's amplitudes, unless its noise is not known (one b0 and no directions to spare)."""
    subjects = [subject.matched for subject in task.training]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        head = AmplitudeHead(task.outputs, input_counts=task.input_counts)
    features, squared, noise = [], [], []
    drawn = draw_rows(subjects, CALIBRATION_VOXELS, seed=[task.seed, 2])
    for matched, rows in zip(subjects, drawn, strict=True):
        lengths = target_lengths(
            matched, rows, [group.numpy() for group in head.output_groups], head.calibrated_groups
        )
        usable = np.isfinite(lengths[1]).all(1) & (lengths[1] > 0).all(1) & (lengths[0] > 0).all(1)
        features.append(
            _compute_head_features(
                network, head, torch.from_numpy(matched.patches[rows[usable]]).float()
            )
        )
        squared.append(torch.from_numpy(lengths[0][usable]).float())
        noise.append(torch.from_numpy(lengths[1][usable]).float())
    if not sum(len(part) for part in features):
        return None, {"calibration": "none: the target's noise is not known"}
    loss = fit_amplitude_head(
        head, torch.cat(features), Lengths(torch.cat(squared), torch.cat(noise)), seed=task.seed
    )
    return head.eval(), {"calibration": {"loss": loss, "stretch": head.stretch.tolist()}}


def _compute_head_features(
    network: SHResNet, head: AmplitudeHead, rows: Float[Tensor, "v 27 n"]
) -> Float[Tensor, "v f"]:
    """What the head sees of training patches."""
    with torch.inference_mode():
        parts = [
            head.features(part, network(rows_to_patches(part)))
            for part in rows.split(PATCHES_PER_CHUNK)
        ]
    return torch.cat(parts).clone()


def load_shresnet(
    arrays: Arrays, record: Mapping[str, Any], device: str = "cpu"
) -> ShresnetHarmonizer:
    """From `arrays` and `record`."""
    network = SHResNet(Architecture.from_record(record["architecture"]))
    network.load_state_dict(_module_state(arrays, "network."))
    head = None
    if record["head"] is not None:
        architecture = network.architecture
        head = AmplitudeHead(architecture.outputs, record["head"], architecture.input_counts)
        head.load_state_dict(_module_state(arrays, "head."))
        head.to(device).eval()
    return ShresnetHarmonizer(network.to(device).eval(), head)


def _module_state(arrays: Arrays, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.tensor(value)
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
