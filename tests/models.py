"""Model folders whose networks predict the same signal everywhere, so that what is made with them is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bids_shresnet.diffusion.mixture import Mixture
from bids_shresnet.diffusion.novelty import NoveltyDetector
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.io.storage import hash_file, write_bytes, write_json
from bids_shresnet.methods.shresnet import ShresnetHarmonizer
from bids_shresnet.network.shresnet import Architecture, SHResNet
from bids_shresnet.outputs.model_folder import Model, dataset_record, read_model
from tests.datasets import spiral

SUBJECTS = ("01", "02", "03")  # travelling; fold n holds out the n-th
FEATURES = 6  # of a voxel with one shell, by which novelty is judged


def constant_network(signal: float) -> SHResNet:
    """Network that predicts S/S0 = `signal` in all directions, whatever it sees (one shell of order 2)."""
    network = SHResNet(Architecture((1, 5), resblocks=1, hidden=2))
    torch.nn.init.zeros_(network.final.weight)
    network.final.bias.data[0] = signal * np.sqrt(4 * np.pi)  # Y_00 = 1 / sqrt(4 pi)
    return network.eval()


def judging(*, usual: float) -> NoveltyDetector:
    """A guard to which any voxel that has features at all is as unusual as `1 / usual`, roughly."""
    mixture = Mixture(np.ones(1), np.full((1, FEATURES), 1e6), np.eye(FEATURES)[None] * 1e12)
    return NoveltyDetector(mixture, usual * np.sqrt(FEATURES))


def constant_model(
    folder: Path,
    dataset: Path,
    *,
    signals: tuple[float, ...] = (0.4, 0.5, 0.9),
    source: str = "GE",
    target: str = "Prisma",
    target_bvalue: float = 1000.0,
    usual: float = 100.0,
    missing: float | None = None,
    **changes: Any,
) -> Model:
    """Write a model of three travelling subjects; the network of fold n predicts the n-th signal everywhere.

    With `missing` each fold also predicts that signal for a shell that the source lacks.
    """
    folds = [_write_fold(folder, number, signal, usual) for number, signal in enumerate(signals, 1)]
    if missing is not None:
        folds = [
            fold | {"MissingShells": _write_missing(folder, n, missing)}
            for n, fold in enumerate(folds, 1)
        ]
        changes["MissingShells"] = [
            {"TargetBValue": 2500.0, "SHOrder": 2, "TargetDirections": spiral(7).tolist()}
        ]
    shell = {"SourceBValue": 1000.0, "TargetBValue": target_bvalue, "SHOrder": 2}
    card = {
        "Name": f"from-{source}_to-{target}",
        "Method": "shresnet",
        "MethodName": "SHResNet",
        "FittedAs": "shresnet",
        "SourceScanner": {"Label": source},
        "TargetScanner": {"Label": target},
        "SHBasis": "real_sh_descoteaux, legacy=False",
        "Shells": [shell | {"TargetDirections": spiral(8).tolist()}],
        "Dataset": dataset_record(dataset),
        "Subjects": dict.fromkeys(SUBJECTS, ""),
        "Folds": folds,
    }
    write_json(folder / "model.json", card | changes)
    return read_model(folder)


def _write_missing(folder: Path, number: int, signal: float) -> Mapping[str, str]:
    file = folder / f"missing-{number:02d}.safetensors"
    harmonizer = ShresnetHarmonizer(constant_network(signal))
    write_bytes(
        file,
        serialize_arrays(harmonizer.arrays(), {"inputs": "", "harmonizer": harmonizer.record()}),
    )
    return {"File": file.name, "SHA256": hash_file(file)}


def _write_fold(folder: Path, number: int, signal: float, usual: float) -> dict[str, Any]:
    file, guard = (folder / f"{name}-{number:02d}.safetensors" for name in ("fold", "novelty"))
    harmonizer = ShresnetHarmonizer(constant_network(signal))
    write_bytes(
        file,
        serialize_arrays(harmonizer.arrays(), {"inputs": "", "harmonizer": harmonizer.record()}),
    )
    write_bytes(guard, serialize_arrays(judging(usual=usual).arrays(), {"inputs": ""}))
    test, others = (
        SUBJECTS[number - 1],
        [subject for subject in SUBJECTS if subject != SUBJECTS[number - 1]],
    )
    return {
        "File": file.name,
        "SHA256": hash_file(file),
        "Novelty": {"File": guard.name, "SHA256": hash_file(guard)},
        "Test": [test],
        "Validation": others[:1],
        "Training": others[1:],
    }
