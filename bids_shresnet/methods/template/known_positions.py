"""Positions of heads in a template, kept in files, because folds register the same heads again.

The folds of a cross-validation share most of their training subjects, and most start from the same
reference. A file is named by the digest of everything that its positions depend on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.template import (
    TEMPLATE_SYN_ITERATIONS,
    Template,
    registration_contrasts,
)
from bids_shresnet.io.storage import atomic_path
from bids_shresnet.scans import ShImage
from bids_shresnet.version import __version__


def locate_once(
    folder: Path, template: Template, image: ShImage, points: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, "p 3"]:
    """Return `Template.locate`, from a file of the folder if it was done before."""
    path = folder / f"{_digest_inputs(template, image, points)}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False))
    positions = template.locate(image, points)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        np.save(temporary, positions)
    return positions


def _digest_inputs(template: Template, image: ShImage, points: Float[np.ndarray, "p 3"]) -> str:
    digest = hashlib.sha256(repr((__version__, TEMPLATE_SYN_ITERATIONS)).encode())
    arrays = [template.contrasts, template.affine, image.affine, points]
    for array in (*arrays, *registration_contrasts(image)):
        digest.update(repr((array.shape, str(array.dtype))).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
