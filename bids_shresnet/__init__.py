"""Make diffusion MRI from different scanners comparable (SHResNet, Koppers et al. 2018)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bids_shresnet.version import __version__

if TYPE_CHECKING:
    from bids_shresnet.api import (
        BadInput,
        HarmonizedImage,
        HarmonizeOptions,
        InputMissing,
        Model,
        UsageError,
        harmonize,
        harmonize_arrays,
        harmonize_files,
        load_model,
    )

__all__ = [
    "BadInput",
    "HarmonizeOptions",
    "HarmonizedImage",
    "InputMissing",
    "Model",
    "UsageError",
    "__version__",
    "harmonize",
    "harmonize_arrays",
    "harmonize_files",
    "load_model",
]


def __getattr__(name: str) -> Any:
    """Load the Python interface on first use: it loads torch, which `--help` must not wait for."""
    if name in __all__:
        return getattr(import_module("bids_shresnet.api"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
