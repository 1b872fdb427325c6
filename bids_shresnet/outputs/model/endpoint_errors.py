"""Errors of held-out subjects by tissue and quantity, read from heldout.tsv of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.io.storage import read_tsv
from bids_shresnet.outputs.json_records import json_key

TISSUE_KEYS: Mapping[str, str] = {"WM": "white_matter", "GM": "grey_matter"}


@dataclass(frozen=True)
class EndpointError:
    """Errors of a method on a held-out subject in one tissue and quantity."""

    nmse: float
    bias: float


def endpoint_key(tissue: str, quantity: str) -> str:
    """Spell a tissue and a quantity as a key of JSON, such as `WhiteMatterFA`."""
    return json_key(f"{TISSUE_KEYS[tissue]}_{quantity}".lower())


def read_endpoint_errors(table: Path, subject: str) -> dict[str, dict[str, EndpointError]]:
    """Read the errors of a subject at all places by method, then by `endpoint_key`."""
    errors: dict[str, dict[str, EndpointError]] = {}
    for row in read_tsv(table):
        if row["subject"] == subject and row["places"] == "all":
            key = endpoint_key(row["tissue"], row["quantity"])
            error = EndpointError(nmse=float(row["nmse"]), bias=float(row["bias"]))
            errors.setdefault(row["method"], {})[key] = error
    return errors
