"""What harmonizing one scan costs, compared with reading it, one tensor fit of DIPY and writing it.

    PYTHONPATH=. python benchmarks/one_scan.py BIDS OUT MODELS SUBJECT

BIDS holds a scan of SUBJECT, who is in no model of MODELS. `participant` harmonizes it in a process
with one thread. Another process with one thread reads it, fits tensors by weighted least squares in
its mask, and writes the scan and FA. A table shows the CPU seconds of both, and their ratio with
and without pictures. Imports are excluded, because they do not depend on the scan.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import tyro

from benchmarks.cpu_sampling import IMPORTS
from benchmarks.run_profile import Seconds, profile_in_process
from bids_shresnet.runtime.workers import THREAD_VARIABLES

PICTURES = "pictures"
ONE_THREAD = dict.fromkeys(THREAD_VARIABLES, "1")


@dataclass(frozen=True)
class Arguments:
    """Compare the cost of harmonizing a scan with that of a tensor fit."""

    bids: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS")]
    """Dataset with the scan."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for the results; new, so that nothing is up to date."""
    models: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODELS")]
    """`models/` of another run."""
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUBJECT")]
    """Label without `sub-`."""
    as_reference: bool = False
    """Only print the seconds of the tensor fit; OUT holds the harmonized scan and its mask."""


def measure_reference(bids: Path, out: Path, subject: str) -> float:
    """Return the CPU seconds of reading the scan, DIPY's weighted fit, and writing scan and FA."""
    from dipy.core.gradients import gradient_table
    from dipy.io import read_bvals_bvecs
    from dipy.reconst.dti import TensorModel

    [image] = bids.glob(f"sub-{subject}/**/dwi/*_dwi.nii*")
    [mask] = out.glob(f"derivatives/shresnet/sub-{subject}/**/*_mask.nii.gz")
    stem = image.name.removesuffix(".gz").removesuffix(".nii")
    tables = [str(image.with_name(f"{stem}.{kind}")) for kind in ("bval", "bvec")]
    start = time.process_time()
    scan = nib.Nifti1Image.from_filename(image)
    data = scan.get_fdata(dtype=np.float32)
    bvals, bvecs = read_bvals_bvecs(*tables)
    model = TensorModel(gradient_table(bvals, bvecs=bvecs), fit_method="WLS")
    is_brain = np.asarray(nib.Nifti1Image.from_filename(mask).dataobj) > 0
    fit = model.fit(data, mask=is_brain)
    with tempfile.TemporaryDirectory() as folder:
        nib.save(nib.Nifti1Image(data, scan.affine), Path(folder) / "dwi.nii.gz")
        nib.save(nib.Nifti1Image(fit.fa.astype(np.float32), scan.affine), Path(folder) / "fa.nii")
    return time.process_time() - start


def format_costs(seconds: Mapping[str, float], reference: float) -> str:
    """Return the costs and their ratios as a Markdown table."""
    own = sum(value for task, value in seconds.items() if task != IMPORTS)
    without_pictures = own - seconds.get(PICTURES, 0.0)
    rows = [("reading, DIPY's tensors, writing", reference)]
    rows += [("harmonizing without pictures", without_pictures), ("harmonizing", own)]
    lines = [f"| {name} | {value:.1f} | {value / reference:.1f} |" for name, value in rows]
    return "\n".join(["| one scan | CPU s | ratio |", "|---|---|---|", *lines, ""])


def main() -> None:
    """Measure both and print the table."""
    arguments = tyro.cli(Arguments)
    if arguments.as_reference:
        seconds = measure_reference(arguments.bids, arguments.out, arguments.subject)
        sys.stdout.write(json.dumps(seconds))
        return
    words = [str(arguments.bids), str(arguments.out), "participant"]
    models = ["--models", str(arguments.models), "--participant-label", arguments.subject]
    own: Seconds = profile_in_process([*words, *models])
    command = [sys.executable, "-m", "benchmarks.one_scan", *sys.argv[1:], "--as-reference"]
    ended = subprocess.run(command, env=os.environ | ONE_THREAD, check=True, capture_output=True)
    sys.stdout.write(format_costs(own, float(json.loads(ended.stdout))))


if __name__ == "__main__":
    main()
