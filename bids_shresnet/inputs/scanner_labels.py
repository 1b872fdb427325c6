"""Spellings of models and serial numbers, and the label that a scanner gets from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The key of BIDS, and a misspelling in real sidecars
MODEL_KEYS = ("ManufacturersModelName", "ManufacturerModelName")
# Product lines that only some sidecars of a scanner name. GE always writes SIGNA, so it stays.
PRODUCT_LINES = ("MAGNETOM", "DISCOVERY")


def sanitize_label(name: str) -> str:
    """Return the letters and digits of a name, which a label may hold."""
    return re.sub(r"[^0-9A-Za-z]", "", name)


def normalize_model(model: str) -> str:
    """Spell a model in one way.

    "MAGNETOM Prisma Fit", "Prisma_fit" and "Prisma Fit" are one model, and so are "DISCOVERY_MR750"
    and "MR750". Words keep their capitals (dStream, SIGNA); those without any get one. "Prisma" and
    "Prisma Fit" stay two models: the latter is a rebuilt Trio.
    """
    words = re.split(r"[\s_]+", model.strip())
    kept = [word for word in words if word and word.upper() not in PRODUCT_LINES]
    return " ".join(word.capitalize() if word.islower() else word for word in kept)


def normalize_serial(serial: object) -> str:
    """Write a serial number as text: 35343, 35343.0 and "35343.0 " are "35343".

    The result is empty for anonymized numbers (Anonymized, 000000000000GEHC, 0000000000orange):
    they have no digit but 0.
    """
    if isinstance(serial, bool) or not isinstance(serial, str | int | float):
        return ""
    text = re.sub(r"^(\d+)\.0*$", r"\1", str(serial).strip())
    return text if re.search(r"[1-9]", text) else ""


def sidecar_model(metadata: Mapping[str, Any]) -> str:
    """Return the model as a sidecar spells it; empty if it has none."""
    return next((str(metadata[key]).strip() for key in MODEL_KEYS if metadata.get(key)), "")


def model_and_serial(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return model and serial number in one spelling; empty where the sidecar lacks them.

    A number without digits but 0 counts if its letters name the institution: a hospital's own.
    """
    number = metadata.get("DeviceSerialNumber")
    serial = normalize_serial(number)
    if not serial and _names_institution(str(number or ""), metadata):
        serial = str(number).strip()
    return normalize_model(sidecar_model(metadata)), serial


def _names_institution(serial: str, metadata: Mapping[str, Any]) -> bool:
    """Return whether the letters of a serial number are the institution's name or initials."""
    padded = re.fullmatch("0+([A-Za-z]+)", serial)  # as GE writes the code of a site
    letters = padded[1].casefold() if padded else ""
    institution = str(metadata.get("InstitutionName") or "").casefold()
    words = re.findall("[a-z]+", institution)
    initials = "".join(word[0] for word in words)
    return len(letters) > 1 and (letters in words or letters == initials)
