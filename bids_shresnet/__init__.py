"""A BIDS App that makes diffusion MRI from different scanners comparable (SHResNet, Koppers et al. 2018)."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_shresnet.api import Model, Result, harmonize, harmonize_arrays, load_model

__all__ = ["Model", "Result", "__version__", "harmonize", "harmonize_arrays", "load_model"]

try:
    __version__ = version("bids-shresnet")
except PackageNotFoundError:  # run.py in a clone that is not installed
    __version__ = (Path(__file__).resolve().parent.parent / "version").read_text(encoding="utf-8").strip()


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is asked for: it brings torch, which `--help` must not wait for."""
    if name in __all__:
        return getattr(import_module("bids_shresnet.api"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
