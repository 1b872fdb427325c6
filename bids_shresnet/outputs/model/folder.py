"""The model folder of a scanner pair: `from-<source>_to-<target>`.

It holds model.json, `fold-NN.safetensors`, training.tsv and what `group` adds. model.json is
written last: a folder without it is not a model yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.io.description import DESCRIPTION_FILE_NAME, read_description
from bids_shresnet.io.file_errors import MODEL_REMEDY, raise_if_unreadable
from bids_shresnet.io.safetensors import check_arrays
from bids_shresnet.io.storage import hash_file, read_json, write_json
from bids_shresnet.outputs.model.card import (
    DatasetRecord,
    FoldRecord,
    MissingShellRecord,
    ModelCard,
    ModelFile,
    ShellRecord,
)
from bids_shresnet.outputs.model.consistency import check_consistency
from bids_shresnet.outputs.model.endpoint_errors import EndpointError, read_endpoint_errors
from bids_shresnet.outputs.model_schema import check_card
from bids_shresnet.pairs import Split
from bids_shresnet.scans import Shell

MODELS_FOLDER = "models"  # of the output dataset
CARD_FILE = "model.json"
TRAINING_TSV = "training.tsv"
REGISTRATION_TSV = "registration.tsv"
HELD_OUT_TSV = "heldout.tsv"  # this and the following are written by `group`
ORIENTATION_TSV = "orientation.tsv"
RESBLOCKS_TSV = "resblocks.tsv"
AGREEMENT_TSV = "agreement.tsv"
RISH_POWER_TSV = "rish.tsv"
EFFECTS_TSV = "effects.tsv"
REGIONAL_TSV = "regional.tsv"
HISTOGRAMS_FILE = "agreement.safetensors"
SLICES_FILE = "slices.safetensors"
MISSING_SHELLS_TSV = "missing_shells.tsv"


@dataclass(frozen=True, repr=False)
class Model:
    """A trained model on disk.

    Attributes
    ----------
    folder
        The model folder.
    card
        Content of model.json.
    digest
        SHA-256 of model.json, which itself holds the digests of all networks.
    """

    folder: Path
    card: ModelCard
    digest: str

    def __repr__(self) -> str:
        """Return one line for notebooks."""
        bvalues = zip(self.source_shells, self.target_bvalues, strict=True)
        shells = ", ".join(f"b {shell.bvalue:.0f} -> {target:.0f}" for shell, target in bvalues)
        validation = self.card.validation
        count = validation.subjects if validation else 0
        state = f"cross-validated on {count} subjects" if validation else "not cross-validated"
        return f"<Model {self.name}, {shells}, {len(self.card.folds)} folds, {state}>"

    @property
    def card_file(self) -> Path:
        """Path of model.json."""
        return self.folder / CARD_FILE

    @property
    def name(self) -> str:
        """`from-<source>_to-<target>`."""
        return self.card.name

    @property
    def source(self) -> str:
        """Label of the source scanner."""
        return self.card.source_scanner.label

    @property
    def target(self) -> str:
        """Label of the target scanner."""
        return self.card.target_scanner.label

    @property
    def is_validated(self) -> bool:
        """Whether it was cross-validated."""
        return self.card.validation is not None

    @property
    def source_shells(self) -> tuple[Shell, ...]:
        """Shells that a scan must have."""
        return tuple(
            Shell(shell.source_bvalue, shell.sh_order, shell.source_direction_count)
            for shell in self.card.shells
        )

    @property
    def target_bvalues(self) -> tuple[float, ...]:
        """b-values of these shells after harmonization, s/mm2."""
        return tuple(shell.target_bvalue for shell in self.card.shells)

    @property
    def target_directions(self) -> tuple[Float[np.ndarray, "_ 3"], ...]:
        """The target's directions in each shell: unit vectors along the world axes."""
        return tuple(_directions(shell) for shell in self.card.shells)

    @property
    def missing_shells(self) -> tuple[Shell, ...]:
        """Shells of the target that the source lacks and that the model predicts."""
        return tuple(
            Shell(shell.target_bvalue, shell.sh_order) for shell in self.card.missing_shells
        )

    @property
    def missing_shell_directions(self) -> tuple[Float[np.ndarray, "_ 3"], ...]:
        """The target's directions in each missing shell: unit vectors along the world axes."""
        return tuple(_directions(shell) for shell in self.card.missing_shells)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Subjects of every fold."""
        return tuple(fold.split for fold in self.card.folds)

    def heldout(self) -> Any:
        """Read the errors of all methods on every held-out subject, a pandas DataFrame.

        Columns are those of heldout.tsv; labels of subjects are text, such as "01".

        Raises
        ------
        InputMissing
            If the model was never cross-validated.
        """
        import pandas as pd  # half a second that no run needs

        table = self.folder / HELD_OUT_TSV
        if not table.exists():
            msg = f"{table} does not exist: the model was not cross-validated. Run `group`."
            raise InputMissing(msg)
        with raise_if_unreadable(table, "no table of errors", MODEL_REMEDY):
            return pd.read_csv(table, sep="\t", dtype={"subject": str}, na_values=["n/a"])

    def held_out_errors(self, subject: str) -> dict[str, dict[str, EndpointError]]:
        """Errors that the cross-validation measured on a travelling subject.

        Returns
        -------
        Errors by method, then by `endpoint_key`; empty without a cross-validation.
        """
        table = self.folder / HELD_OUT_TSV
        if not table.exists():
            return {}
        with raise_if_unreadable(table, "no table of errors", MODEL_REMEDY):
            return read_endpoint_errors(table, subject)

    def fit_for(self, subject: str | None) -> FoldRecord:
        """The fold that holds out a travelling subject; the fit to all for others and None."""
        held_out = [fold for fold in self.card.folds if subject in fold.test]
        return held_out[0] if held_out else self.card.all_subjects

    def is_travelling_subject(self, subject: str, dataset: DatasetRecord, root: Path) -> bool:
        """Return whether the model was, or may have been, trained on this subject of this dataset.

        The dataset is that of the training if it has the same name, or if the model was trained in
        the same output. Its description may have changed since: licenses, authors and DOIs do. A
        stranger from another dataset of this name is only harmonized by a network that was trained
        on fewer people; one that was trained on the subject itself would be a leak.
        """
        is_own_model = self.folder.parent.absolute() == models_folder(root).absolute()
        is_same_dataset = is_own_model or self.card.dataset.name == dataset.name
        return subject in self.card.subjects and is_same_dataset


def models_folder(root: Path) -> Path:
    """Path of the folder of all models in the output dataset."""
    return root / MODELS_FOLDER


def has_model(folder: Path) -> bool:
    """Return whether a folder holds a complete model."""
    return (folder / CARD_FILE).exists()


def read_dataset_record(dataset: Path) -> DatasetRecord:
    """Read what distinguishes a dataset from others with the same subject labels."""
    name = str(read_description(dataset).get("Name", ""))
    return DatasetRecord(name=name, sha256=hash_file(dataset / DESCRIPTION_FILE_NAME))


def read_model(folder: Path) -> Model:
    """Read a model folder.

    Raises
    ------
    InputMissing
        If it holds no complete model.
    BadInput
        If model.json violates its schema, or a network is missing or not the one that it names.
    """
    path = folder / CARD_FILE
    if not has_model(folder):
        msg = (
            f"{folder} holds no {CARD_FILE}: it is no model, or its training was not finished "
            "(run `group` again)"
        )
        raise InputMissing(msg)
    record = read_json(path)
    check_card(record, path)
    card = ModelCard.from_json(record)
    check_consistency(card, path)
    _check_files(folder, card)
    return Model(folder=folder, card=card, digest=hash_file(path))


def write_card(folder: Path, card: ModelCard) -> Model:
    """Write model.json, which makes the folder a model, and read the model.

    Raises
    ------
    BadInput
        If the card violates the schema.
    """
    path = folder / CARD_FILE
    record = card.to_json()
    check_card(record, path)
    write_json(path, record)
    return read_model(folder)


def find_models(folder: Path) -> tuple[Model, ...]:
    """Find all models of a `models/` folder, or the one that the folder itself is.

    Raises
    ------
    InputMissing
        If there is none.
    """
    if has_model(folder):
        return (read_model(folder),)
    cards = sorted(folder.glob(f"from-*/{CARD_FILE}"))
    if not cards:
        msg = (
            f"no trained model in {folder}; name a `models/` folder of a finished run, or one "
            "`from-.._to-..` of it"
        )
        raise InputMissing(msg)
    return tuple(read_model(card.parent) for card in cards)


def _check_files(folder: Path, card: ModelCard) -> None:
    """Check that all files are those that the card names, and hold finite numbers."""
    files = [item for fit in card.fits for item in fit.files]
    if card.target_denoiser is not None:
        files.append(card.target_denoiser.weights)
    damaged = [folder / item.file for item in files if not _is_intact(folder, item)]
    value = f"not what {CARD_FILE} says"
    if damaged:
        raise BadInput([Finding("error", str(path), value, MODEL_REMEDY) for path in damaged])
    for item in files:
        check_arrays(folder / item.file)


def _is_intact(folder: Path, item: ModelFile) -> bool:
    path = folder / item.file
    return path.is_file() and hash_file(path) == item.sha256


def _directions(shell: ShellRecord | MissingShellRecord) -> Float[np.ndarray, "_ 3"]:
    return np.array(shell.target_directions, dtype=np.float64)
