"""The harmonizer of this app: SHResNet, fitted on travelling subjects, with calibrated amplitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.diffusion.harmonics import stacked_orders
from bids_shresnet.diffusion.rish import project
from bids_shresnet.methods.harmonizer import Arrays, Fitted, Lesson
from bids_shresnet.methods.regression import ridge
from bids_shresnet.methods.sampling import draw_rows, gather, length_labels
from bids_shresnet.network.amplitude import AmplitudeHead, Lengths, fit_amplitudes
from bids_shresnet.network.patches import CHUNK, as_patches, rows_of, run
from bids_shresnet.network.shresnet import Architecture, SHResNet, build
from bids_shresnet.network.training import History, fit
from bids_shresnet.pairs import Travelling
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import NetworkConfig

VALIDATION_VOXELS = 30_000  # enough to tell losses apart by 0.1 %
CALIBRATION_VOXELS = 400_000


@dataclass(frozen=True)
class Shresnet:
    """A trained network and, unless it is left out, its amplitude head.

    Attributes
    ----------
    calibrated
        Whether the head is used.
    projected
        Whether the scan's own orientations are kept (the paper's Eq. 1).
    """

    network: SHResNet
    head: AmplitudeHead | None = None
    calibrated: bool = True
    projected: bool = False

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the mask's voxels."""
        device = next(self.network.parameters()).device
        volume = torch.tensor(image.channels, dtype=torch.float32, device=device)
        voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
        predicted: Float[np.ndarray, "v c"] = run(self._harmonized, volume, voxels).cpu().numpy()
        if self.projected:
            orders = stacked_orders(image.shells)
            predicted = project(image.coefficients[image.mask], predicted, orders).coefficients
        return predicted

    def _harmonized(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        predicted: Tensor = self.network(patches)
        if self.head is None or not self.calibrated:
            return predicted
        calibrated: Tensor = self.head(rows_of(patches), predicted)
        return calibrated

    def arrays(self) -> Arrays:
        """Weights of the network and of the head."""
        parts: dict[str, nn.Module] = {"network": self.network} | ({"head": self.head} if self.head else {})
        return {
            f"{part}.{name}": value.cpu().numpy()
            for part, module in parts.items()
            for name, value in module.state_dict().items()
        }

    def record(self) -> dict[str, Any]:
        """What both are built from."""
        return {"architecture": self.network.architecture.to_record(), "head": self.head.hidden if self.head else None}


def architecture_for(outputs: tuple[int, ...], config: NetworkConfig, seen: tuple[int, ...] = ()) -> Architecture:
    """One functional unit an order and shell; inside, by default, as wide as the largest shell has coefficients."""
    hidden = config.hidden or max(sum(shell) for shell in shells_of(outputs))
    return Architecture(outputs, config.resblocks, hidden, contrast=config.contrast, skip=config.skip, seen=seen)


def shells_of(outputs: tuple[int, ...]) -> list[list[int]]:
    """Number of coefficients of every order, by shell: each begins with its order 0."""
    shells: list[list[int]] = []
    for count in outputs:
        if count == 1:
            shells.append([])
        shells[-1].append(count)
    return shells


def fit_shresnet(lesson: Lesson) -> Fitted:
    """Train one network and its amplitude head; the same seed and thread count give the same weights."""
    network = build(architecture_for(lesson.outputs, lesson.network, lesson.seen), seed=lesson.seed)
    if network.skip is not None:
        start_linear(network, lesson.training)
    history = train(network.to(lesson.device), lesson)
    network.cpu().eval()
    if not lesson.network.calibrate:
        return Fitted(Shresnet(network), history.epochs, history.best)
    head, notes = calibrate(network, lesson)
    return Fitted(Shresnet(network, head), history.epochs, history.best, notes)


def fit_cdmri2017(lesson: Lesson) -> Fitted:
    """The authors' entry to the CDMRI 2017 challenge: one ResBlock, no projection, and nothing of ours."""
    plain = NetworkConfig(resblocks=1, contrast=False, skip=False, calibrate=False)
    return fit_shresnet(replace(lesson, network=plain))


def start_linear(network: SHResNet, training: Sequence[Travelling]) -> None:
    """Set the linear skip to the regression, from which training then goes on."""
    weights, offset = ridge(training, network.architecture.inputs)
    assert network.skip is not None
    with torch.no_grad():
        network.skip.weight.copy_(torch.from_numpy(weights.T.copy()))
        network.skip.bias.copy_(torch.from_numpy(offset))


def train(network: nn.Module, lesson: Lesson) -> History:
    """Train a network on patches, stopping by the validation subject."""
    subjects, validation = [subject.matched for subject in lesson.training], lesson.validation.matched
    rows = np.random.default_rng([lesson.seed, 0]).permutation(len(validation.tissue))[:VALIDATION_VOXELS]
    voxels = lesson.schedule.voxels_per_epoch
    return fit(
        network,
        lambda epoch: gather(subjects, draw_rows(subjects, voxels, seed=[lesson.seed, 1, epoch])),
        gather([validation], [np.sort(rows)]),
        lesson.schedule,
        seed=lesson.seed,
        on_epoch=lesson.on_epoch,
        saved=lesson.saved,
        save=lesson.save,
    )


def calibrate(network: SHResNet, lesson: Lesson) -> tuple[AmplitudeHead | None, Mapping[str, Any]]:
    """Learn the target's amplitudes, unless its noise is not known (one b0 and no directions to spare)."""
    subjects = [subject.matched for subject in lesson.training]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.seed)
        head = AmplitudeHead(lesson.outputs, seen=lesson.seen)
    features, squared, noise = [], [], []
    drawn = draw_rows(subjects, CALIBRATION_VOXELS, seed=[lesson.seed, 2])
    for matched, rows in zip(subjects, drawn, strict=True):
        lengths = length_labels(matched, rows, [group.numpy() for group in head.groups], head.calibrated)
        usable = np.isfinite(lengths[1]).all(1) & (lengths[1] > 0).all(1) & (lengths[0] > 0).all(1)
        features.append(_features(network, head, torch.from_numpy(matched.patches[rows[usable]]).float()))
        squared.append(torch.from_numpy(lengths[0][usable]).float())
        noise.append(torch.from_numpy(lengths[1][usable]).float())
    if not sum(len(part) for part in features):
        return None, {"calibration": "none: the target's noise is not known"}
    loss = fit_amplitudes(head, torch.cat(features), Lengths(torch.cat(squared), torch.cat(noise)), seed=lesson.seed)
    return head.eval(), {"calibration": {"loss": loss, "stretch": head.stretch.tolist()}}


def _features(network: SHResNet, head: AmplitudeHead, rows: Float[Tensor, "v 27 n"]) -> Float[Tensor, "v f"]:
    """What the head sees of training patches."""
    with torch.inference_mode():
        parts = [head.features(part, network(as_patches(part))) for part in rows.split(CHUNK)]
    return torch.cat(parts).clone()


def load_shresnet(arrays: Arrays, record: Mapping[str, Any], device: str = "cpu") -> Shresnet:
    """From `arrays` and `record`."""
    network = SHResNet(Architecture.from_record(record["architecture"]))
    network.load_state_dict(_part(arrays, "network."))
    head = None
    if record["head"] is not None:
        architecture = network.architecture
        head = AmplitudeHead(architecture.outputs, record["head"], architecture.seen)
        head.load_state_dict(_part(arrays, "head."))
        head.to(device).eval()
    return Shresnet(network.to(device).eval(), head)


def _part(arrays: Arrays, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): torch.tensor(value) for name, value in arrays.items() if name.startswith(prefix)}
