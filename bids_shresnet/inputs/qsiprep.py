"""What QSIPrep does in its own way: the labels of its dseg, and b-vectors along the image's axes without FSL's flip.

Both differ from BIDS and are said nowhere in its files, so they are known by the name of the pipeline. (QSIPrep's
documentation, "Preprocessing", on gradients; its FreeSurfer2dseg.txt for the labels, which have no dseg.tsv.)
"""

from __future__ import annotations

from bids_shresnet.scans import Tissue

QSIPREP = "qsiprep"
QSIPREP_LABELS = {1: Tissue.CSF, 2: Tissue.GM, 3: Tissue.WM}
