"""Registrations that fail or are of other heads, in place of true ones, which take minutes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.config import ScannerSettings
from bids_shresnet.pairs import Pair, RegistrationQuality, TravellingSubject
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.scans import Scan
from tests.inventories import find_inventory, write_heads
from tests.methods.heads import head, travelling

GOOD = RegistrationQuality(0.9, 0.95, 0.95)
OTHER_HEAD = RegistrationQuality(0.9, 0.4, 0.2)


def replace_registration(
    monkeypatch: pytest.MonkeyPatch,
    *,
    failing: Collection[str] = (),
    other_heads: Collection[str] = (),
) -> list[str]:
    """Let registrations of some subjects fail or be of other heads; return who was registered."""
    registered: list[str] = []
    match = _make_registration(registered, failing, other_heads)
    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", match)
    return registered


def _make_registration(
    registered: list[str], failing: Collection[str], other_heads: Collection[str]
) -> Callable[..., TravellingSubject]:
    def match(source: Scan, *_: object) -> TravellingSubject:
        registered.append(source.subject)
        if source.subject in failing:
            msg = "Registration failed with error code 1"
            raise RuntimeError(msg)
        quality = OTHER_HEAD if source.subject in other_heads else GOOD
        return replace(travelling(head(1, (7, 7, 7)), 7), quality=quality)

    return match


def make_pair(root: Path, subjects: Sequence[str]) -> Pair:
    """Write travelling heads; return the pair of their scanners."""
    inventory = find_inventory(write_heads(root, subjects))
    (pair,) = form_pairs(inventory, ScannerSettings(target="Prisma")).pairs
    return pair
