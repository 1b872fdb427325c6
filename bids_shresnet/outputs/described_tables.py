"""Tables of models and runs, each with a JSON description of its columns beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bids_shresnet.io.storage import write_json, write_tsv

COLUMNS: Mapping[str, str] = {  # a column means the same in every table but those of `EXCEPTIONS`
    "subject": "Subject, without sub-; in results of the cross-validation the held-out one.",
    "session": "Session, without ses-.",
    "fold": "Number of the network that held the subject out.",
    "method": "Method; no_harmonization is the input scan, target the target's own measurement.",
    "tissue": "WM: white matter, GM: grey matter, as segmented in the target's scan.",
    "quantity": "signal: S/S0 in the target's directions; FA; MD in mm2/s.",
    "places": "all: every voxel of the tissue; interior: without the edge of the brain.",
    "nmse": "Squared differences from the target's measurement over its sum of squares.",
    "bias": "Mean over the tissue relative to the target's mean, minus 1.",
    "mean": "Mean over the tissue or region.",
    "target_mean": "Mean that the target measured there.",
    "angle": "Mean angle to the principal directions that the target measured, degrees.",
    "correlation": "Mean angular correlation of the signal with the measured one.",
    "value_count": "Number of values: voxels, times directions for the signal.",
    "deviation": "Standard deviation of the differences.",
    "bvalue": "b-value of the shell, s/mm2.",
    "order": "Order of the spherical harmonics.",
    "power": "Mean power of the order, (S/S0)^2.",
    "effect": "Name of the known effect.",
    "maps": "comparable: with the target's noise; denoised: without noise.",
    "region": "Name of the region in the table of the parcellation.",
    "voxels": "Number of voxels.",
    "put_in": "Relative change of the mean if the effect is put into the harmonized map.",
    "found": "Relative change of the mean of the harmonized map.",
    "beyond_noise": "Share of voxels that change by more than noise alone lets 5 % of them change.",
    "epoch": "Number of the epoch.",
    "stage": "Stage of the schedule.",
    "learning_rate": "Step size at the end of the epoch.",
    "training_loss": "Mean squared error of S/S0 on the training subjects.",
    "validation_loss": "Mean squared error of S/S0 on the validation subject.",
    "resblocks": "Number of ResBlocks.",
    "overlap": "Share of the target's tissue that lies in the source's brain.",
    "signal_correlation": "Correlation of both scans' mean signal.",
    "orientation_correlation": "Correlation of both scans' directions.",
    "excluded": "Why the subject was not trained on; n/a if it was.",
    "severity": "error, warning or note.",
    "file": "File, relative to its dataset.",
    "value": "What is wrong or odd.",
    "remedy": "What to do about it.",
    "scanner": "Label of the scanner.",
    "shells": "Directions x b-value (s/mm2) of each shell.",
    "role": "What the scan is used for; excluded: it cannot be used; not used: it could be.",
    "reason": "Why the scan was excluded or failed.",
    "status": "done, up to date, excluded or failed.",
}
EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "agreement.tsv": {"mean": "Mean of source minus target; MD in mm2/s."},
    "effects.tsv": {"region": "changed: where the effect was put in; unchanged: beside it."},
}


def write_described_table(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()
) -> None:
    """Write a table as `write_tsv` does, after the description of its columns.

    Raises
    ------
    KeyError
        If a column has no description.
    """
    keys = [key for row in rows for key in row]
    write_json(path.with_suffix(".json"), describe_columns(path.name, [*columns, *keys]))
    write_tsv(path, rows, columns)


def describe_columns(table: str, columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the description of each column of a table, each once."""
    descriptions = {**COLUMNS, **EXCEPTIONS.get(table, {})}
    return {column: {"Description": descriptions[column]} for column in columns}
