"""Images as tests read them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib


def load_image(path: str | Path) -> nib.Nifti1Image:
    """Open a NIfTI image; the result of `nib.load` has the type of any image."""
    return nib.Nifti1Image.from_filename(path)
