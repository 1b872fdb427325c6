"""Conventions of QSIPrep that its files do not state: labels of its dseg, axes of its b-vectors.

Both differ from BIDS, so they are known by the name of the pipeline. Its b-vectors follow the axes
of the image, without FSL's flip (QSIPrep's documentation, "Preprocessing"); its labels are those of
FreeSurfer2dseg.txt.
"""

from __future__ import annotations

from bids_shresnet.scans import Tissue

QSIPREP = "qsiprep"
QSIPREP_LABELS = {1: Tissue.CSF, 2: Tissue.GM, 3: Tissue.WM}
