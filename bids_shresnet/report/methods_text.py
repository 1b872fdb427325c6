"""The methods text for a paper: `logs/CITATION.md` and its references, `logs/CITATION.bib`.

The text is in `templates/methods.md.jinja`; this module gathers its values from the models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.io.description import DESCRIPTION_FILE_NAME
from bids_shresnet.io.storage import read_json, write_text
from bids_shresnet.io.templates import template_environment
from bids_shresnet.outputs.model.endpoint_errors import endpoint_key
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.report.applied_scans import AppliedScans, read_applied_scans
from bids_shresnet.report.style import tissue_name
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION, Method
from bids_shresnet.version import __version__

TEMPLATES = "report/templates"
CITATION_STEM = "CITATION"
CITATION_PATTERN = re.compile(r"(?<!\w)@(\w+)")
BIBTEX_ENTRY_PATTERN = re.compile(r"^(@\w+\{(\w+),.*?^\}\n)", re.MULTILINE | re.DOTALL)
BASELINE_NAMES = {
    **METHOD_NAMES,
    NO_HARMONIZATION: "unharmonized scans",
    "denoised": "denoising only (a network between halves of the source's own scans)",
    "patch_linear": "linear patch regression (on the voxel and its neighbours)",
}
CITED_PACKAGES = (  # distribution, name for readers, key in references.bib
    ("numpy", "NumPy", "numpy"),
    ("scipy", "SciPy", "scipy"),
    ("nibabel", "NiBabel", "nibabel"),
    ("dipy", "DIPY", "dipy"),
    ("pybids", "PyBIDS", "pybids"),
    ("antspyx", "ANTsPy", "ants"),
    ("torch", "PyTorch", "pytorch"),
)


@dataclass(frozen=True)
class MeanErrors:
    """NMSE to the target's measurement, averaged over the held-out subjects.

    Attributes
    ----------
    tissue
        In words.
    """

    tissue: str
    quantity: str
    input: float
    harmonized: float


def write_methods_text(root: Path, models: Sequence[Model]) -> None:
    """Write the methods text and its references into `logs`.

    Parallel jobs may do so at the same time, because files are replaced as a whole.
    """
    pipelines = read_json(root / DESCRIPTION_FILE_NAME)["GeneratedBy"][1:]
    text = compose_methods_text(models, pipelines, read_applied_scans(root))
    write_text(root / "logs" / f"{CITATION_STEM}.md", text)
    write_text(root / "logs" / f"{CITATION_STEM}.bib", select_references(text))


def read_methods_text(root: Path) -> str:
    """Return the text that was written last, or an empty one."""
    file = root / "logs" / f"{CITATION_STEM}.md"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def compose_methods_text(
    models: Sequence[Model],
    pipelines: Sequence[Mapping[str, Any]],
    applied: Mapping[str, AppliedScans],
) -> str:
    """Describe how each model was trained and applied, and the result of its validation.

    Parameters
    ----------
    pipelines
        GeneratedBy of the input, newest first; empty for raw data.
    applied
        Scans in the output by the name of their model.
    """
    environment = template_environment(TEMPLATES)
    environment.filters["one_line"] = _join_lines
    return environment.get_template("methods.md.jinja").render(
        version=__version__,
        pipelines=[f"{record['Name']} {record.get('Version', '')}".strip() for record in pipelines],
        models=[
            {**_model_values(model), "applied": applied.get(model.name, AppliedScans())}
            for model in models
        ],
        baselines=BASELINE_NAMES,
        cited_packages=CITED_PACKAGES,
    )


def select_references(text: str) -> str:
    """Return the BibTeX entries that a text cites, in the order of `references.bib`."""
    library = resources.files("bids_shresnet") / TEMPLATES / "references.bib"
    entries = BIBTEX_ENTRY_PATTERN.findall(library.read_text(encoding="utf-8"))
    cited = set(CITATION_PATTERN.findall(text))
    return "".join(entry for entry, key in entries if key in cited)


def _model_values(model: Model) -> dict[str, Any]:
    splits = model.splits
    validation = model.card.validation
    return {
        "card": model.card,
        "subject_counts": {
            "training": _format_range([len(split.training) for split in splits]),
            "validation": _format_range([len(split.validation) for split in splits]),
            "test": _format_range([len(split.test) for split in splits]),
        },
        "mean_errors": list(_mean_errors(model, validation.method)) if validation else [],
    }


def _mean_errors(model: Model, method: Method) -> Iterator[MeanErrors]:
    subjects = [model.held_out_errors(subject) for subject in model.card.subjects]
    subjects = [errors for errors in subjects if {NO_HARMONIZATION, method} <= errors.keys()]
    if not subjects:
        return
    for tissue, quantity in product(TISSUES, QUANTITIES):
        endpoint = endpoint_key(tissue, quantity)
        yield MeanErrors(
            tissue=tissue_name(tissue),
            quantity=quantity,
            input=mean(errors[NO_HARMONIZATION][endpoint].nmse for errors in subjects),
            harmonized=mean(errors[method][endpoint].nmse for errors in subjects),
        )


def _format_range(counts: Sequence[int]) -> str:
    """Such as `8`, or `7 to 8`."""
    smallest = min(counts)
    largest = max(counts)
    return f"{smallest}" if smallest == largest else f"{smallest} to {largest}"


def _join_lines(text: str) -> str:
    """A paragraph on one line, so that it can be pasted anywhere."""
    return " ".join(text.split())
