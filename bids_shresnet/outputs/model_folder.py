"""The model folder of a scanner pair: `from-<source>_to-<target>/{model.json, fold-NN.safetensors, training.tsv}`.

model.json is written last: a folder without it is not a model yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.io.storage import hash_file, read_json, read_tsv
from bids_shresnet.pairs import Split
from bids_shresnet.scans import Shell

CARD_FILE = "model.json"
HELD_OUT_TSV, ORIENTATION_TSV, RESBLOCKS_TSV = (
    "heldout.tsv",
    "orientation.tsv",
    "resblocks.tsv",
)  # what `group` adds
AGREEMENT_TSV, RISH_POWER_TSV, HISTOGRAMS_FILE = (
    "agreement.tsv",
    "rish.tsv",
    "agreement.safetensors",
)
TRAINING_TSV = "training.tsv"
MISSING_SHELLS_TSV = "missing_shells.tsv"


@dataclass(frozen=True)
class Model:
    """A trained model on disk.

    Attributes
    ----------
    folder
        Where it lies.
    card
        Content of model.json.
    digest
        SHA-256 of model.json, which itself holds the digests of all networks.
    """

    folder: Path
    card: Mapping[str, Any]
    digest: str

    @property
    def name(self) -> str:
        """`from-<source>_to-<target>`."""
        return str(self.card["Name"])

    @property
    def source(self) -> str:
        """Label of the source scanner."""
        return str(self.card["SourceScanner"]["Label"])

    @property
    def target(self) -> str:
        """Label of the target scanner."""
        return str(self.card["TargetScanner"]["Label"])

    @property
    def source_shells(self) -> tuple[Shell, ...]:
        """Shells a scan must have."""
        return tuple(Shell(s["SourceBValue"], s["SHOrder"]) for s in self.card["Shells"])

    @property
    def target_bvalues(self) -> tuple[float, ...]:
        """What their b-values become."""
        return tuple(s["TargetBValue"] for s in self.card["Shells"])

    @property
    def target_directions(self) -> tuple[Float[np.ndarray, "_ 3"], ...]:
        """The target's gradient table, one unit vector (world axes) a row, shell by shell."""
        return tuple(np.array(s["TargetDirections"], dtype=np.float64) for s in self.card["Shells"])

    @property
    def splits(self) -> tuple[Split, ...]:
        """Subjects of every fold."""
        parts = [
            [tuple(fold[part]) for part in ("Training", "Validation", "Test")]
            for fold in self.card["Folds"]
        ]
        return tuple(Split(*subjects) for subjects in parts)

    @property
    def missing_shells(self) -> tuple[Shell, ...]:
        """Shells of the target that the source lacks and that the model predicts."""
        return tuple(
            Shell(s["TargetBValue"], s["SHOrder"]) for s in self.card.get("MissingShells", [])
        )

    @property
    def missing_shell_directions(self) -> tuple[Float[np.ndarray, "_ 3"], ...]:
        """Their gradient table."""
        return tuple(
            np.array(s["TargetDirections"], dtype=np.float64)
            for s in self.card.get("MissingShells", [])
        )

    @property
    def validation(self) -> Mapping[str, Any]:
        """What the cross-validation found; empty where there was none."""
        return dict(self.card.get("Validation", {}))

    def held_out_errors(self, subject: str) -> dict[str, dict[str, dict[str, float]]]:
        """What the cross-validation found on a travelling subject: method, then place, then NMSE and bias."""
        table = self.folder / HELD_OUT_TSV
        found: dict[str, dict[str, dict[str, float]]] = {}
        for row in read_tsv(table) if table.exists() else []:
            if row["subject"] == subject:
                place = f"{row['tissue']} {row['quantity']}"
                errors = {"NMSE": float(row["nmse"]), "Bias": float(row["bias"])}
                found.setdefault(row["method"], {})[place] = errors
        return found

    def folds_for(self, subject: str | None) -> tuple[Mapping[str, Any], ...]:
        """The fold that held a travelling subject out; all folds for anybody else (None, or not among them)."""
        folds = tuple(self.card["Folds"])
        held_out = tuple(fold for fold in folds if subject in fold["Test"])
        return held_out or folds

    def is_travelling_subject(self, subject: str, dataset: Path) -> bool:
        """Whether this subject of this dataset is one of its travelling subjects."""
        return subject in self.card["Subjects"] and self.card["Dataset"] == dataset_record(dataset)


def dataset_record(dataset: Path) -> dict[str, str]:
    """What tells a dataset from another one whose subjects bear the same labels."""
    description = dataset / "dataset_description.json"
    return {"Name": str(read_json(description).get("Name", "")), "SHA256": hash_file(description)}


def read_model(folder: Path) -> Model:
    """Read a model folder.

    Raises
    ------
    InputMissing
        If it holds no complete model.
    BadInput
        If a network is missing or is not the one that model.json names.
    """
    path = folder / CARD_FILE
    if not path.exists():
        msg = f"{folder} holds no {CARD_FILE}: it is no model, or its training was not finished (run `group` again)"
        raise InputMissing(msg)
    model = Model(folder, read_json(path), hash_file(path))
    parts = [(fold, fold["Novelty"], fold.get("MissingShells")) for fold in model.card["Folds"]]
    files = [part for fold in parts for part in fold if part]
    damaged = [part for part in files if not _is_intact(folder / part["File"], part["SHA256"])]
    if damaged:
        remedy = "Copy the model folder again, or delete it and train anew."
        raise BadInput(
            [
                Finding("error", str(folder / f["File"]), f"not what {CARD_FILE} says", remedy)
                for f in damaged
            ]
        )
    return model


def find_models(folder: Path) -> tuple[Model, ...]:
    """All models of a `models/` folder, or the one that the folder itself is.

    Raises
    ------
    InputMissing
        If there is none.
    """
    folders = (
        [folder]
        if (folder / CARD_FILE).exists()
        else sorted(path.parent for path in folder.glob(f"from-*/{CARD_FILE}"))
    )
    if not folders:
        msg = f"no trained model in {folder}; name a `models/` folder of a finished run, or one `from-.._to-..` of it"
        raise InputMissing(msg)
    return tuple(read_model(path) for path in folders)


def _is_intact(path: Path, digest: str) -> bool:
    return path.exists() and hash_file(path) == digest
