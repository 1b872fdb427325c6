"""Compare harmonized scans with the phantom's truth: read, fit the same tensor to all, count the error left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.evaluation.quantities import nmse
from bids_shresnet.io.fsl import read_fsl_table
from bids_shresnet.io.nifti import read_dwi, read_labels
from bids_shresnet.scans import Dwi, Scan

TISSUE_LABELS = {"WM": 2, "GM": 1}  # as labelled in the truth
SCORED_QUANTITIES = ("signal", "FA", "MD")
SAME_DIRECTION_COSINE = 0.99  # cosine; written b-vectors keep six decimals


@dataclass(frozen=True)
class PhantomScore:
    """How far one quantity in one tissue of one scan is from the truth.

    Attributes
    ----------
    input_nmse, harmonized_nmse
        NMSE (Koppers et al. 2018, Eq. 2): sum of squared differences over the truth's sum of squares.
    """

    subject: str
    session: str
    tissue: str
    quantity: str
    input_nmse: float
    harmonized_nmse: float

    @property
    def decrease(self) -> float:
        """Part of the error that is gone."""
        return 1 - self.harmonized_nmse / self.input_nmse


def score_scans(dataset: Path, output: Path) -> list[PhantomScore]:
    """Score every harmonized scan below `output` that has a truth in the phantom's folder `dataset`.

    Raises
    ------
    InputMissing
        If the phantom has no truth, or `output` no harmonized scan of it.
    BadInput
        If a harmonized scan has another grid or other directions than its source.
    """
    truths = sorted((dataset / "truth").glob("sub-*/ses-*_dwi.nii.gz"))
    if not truths:
        msg = f"{dataset}/truth holds no truth; simulate the phantom without --no-truth"
        raise InputMissing(msg)
    scores = [row for truth in truths for row in _score_scan(dataset, output, truth)]
    if not scores:
        msg = f"{output} holds no harmonized scan of {dataset}; name the output folder of a participant run"
        raise InputMissing(msg)
    return scores


def format_scores(scores: Sequence[PhantomScore]) -> str:
    """Lay out the mean over scans, one line a tissue and quantity."""
    scans = len({(row.subject, row.session) for row in scores})
    lines = [
        f"NMSE to the truth, mean of {scans} scans",
        f"{'':10}{'before':>10}{'after':>10}{'decrease':>10}",
    ]
    for tissue in TISSUE_LABELS:
        for quantity in SCORED_QUANTITIES:
            rows = [row for row in scores if (row.tissue, row.quantity) == (tissue, quantity)]
            before, after = (
                float(np.mean([getattr(row, time) for row in rows]))
                for time in ("input_nmse", "harmonized_nmse")
            )
            lines.append(
                f"{tissue} {quantity:7}{before:10.5f}{after:10.5f}{1 - after / before:10.1%}"
            )
    return "\n".join(lines) + "\n"


def _score_scan(dataset: Path, output: Path, truth: Path) -> list[PhantomScore]:
    """Score one scan; nothing if it was not harmonized."""
    subject, session = truth.parent.name, truth.name.split("_")[0]
    found = sorted(output.rglob(f"{subject}_{session}_*desc-harmonized*_dwi.nii.gz"))
    if not found:
        return []
    wanted = _read_with_gradients(truth)
    tissue = read_labels(
        truth.with_name(truth.name.replace("_dwi.", "_tissue.")), wanted.shape, wanted.affine
    )
    raw = dataset / "bids" / subject / session / "dwi" / f"{subject}_{session}_dwi.nii.gz"
    scans = (wanted, _read_comparable(raw, wanted), _read_comparable(found[0], wanted))
    ideal, before, after = (_compute_quantities(dwi, tissue > 0) for dwi in scans)
    label = tissue[tissue > 0]
    return [
        PhantomScore(
            subject,
            session,
            name,
            q,
            *(nmse(ideal[q][label == k], x[q][label == k]) for x in (before, after)),
        )
        for name, k in TISSUE_LABELS.items()
        for q in SCORED_QUANTITIES
    ]


def _compute_quantities(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"]
) -> dict[str, Float[np.ndarray, "voxel *n"]]:
    """S/S0, FA and MD of some voxels."""
    data = dwi.data[mask]
    s0 = np.maximum(data[:, dwi.is_b0].mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    maps = fit_tensor_maps(dwi, mask)
    return {"signal": data[:, ~dwi.is_b0] / s0, "FA": maps.fa[mask], "MD": maps.md[mask]}


def _read_comparable(path: Path, truth: Dwi) -> Dwi:
    """Read a scan that must have the truth's grid and directions."""
    dwi = _read_with_gradients(path)
    same_grid = dwi.data.shape == truth.data.shape and np.allclose(
        dwi.affine, truth.affine, atol=1e-3
    )
    if (
        not same_grid
        or np.abs((dwi.bvecs * truth.bvecs).sum(axis=1))[~truth.is_b0].min() < SAME_DIRECTION_COSINE
    ):
        value = "another grid or other directions than the source scan"
        raise BadInput(
            [Finding("error", str(path), value, "Harmonize with --output-directions source.")]
        )
    return dwi


def _read_with_gradients(image: Path) -> Dwi:
    """Read a DWI with the gradients beside it."""
    bval, bvec = (
        image.with_name(image.name.replace(".nii.gz", suffix)) for suffix in (".bval", ".bvec")
    )
    bvals, _ = read_fsl_table(bval, bvec)
    scan = Scan(image, bval, bvec, {}, {}, None, tuple(bvals.tolist()), image.parent)
    return read_dwi(scan)
