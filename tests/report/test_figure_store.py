from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.report.figure_store import Figures, digest_results, reuse_figures
from bids_shresnet.report.style import Drawing
from tests.report.cross_validations import cross_validation

FIGURES = {
    "head": [Drawing("head", "caption of it", "what it shows", b"png")],
    "metrics": [Drawing("bias", "two", "lines", b"bits", b"<svg>"), Drawing("c", "", "", b"c")],
    "training": [],
}
DRAWN_AGAIN = {"head": [Drawing("head", "new", "new", b"new")]}


def store(root: Path, digest: str, figures: Figures) -> Figures:
    return reuse_figures(root, "pair", digest, lambda: figures)


def test_figures_of_the_same_results_are_read(tmp_path: Path) -> None:
    assert store(tmp_path, "results", FIGURES) == FIGURES
    assert store(tmp_path, "results", DRAWN_AGAIN) == FIGURES


def test_figures_of_other_results_are_drawn(tmp_path: Path) -> None:
    store(tmp_path, "results", FIGURES)
    assert store(tmp_path, "other", DRAWN_AGAIN) == DRAWN_AGAIN
    assert store(tmp_path, "other", FIGURES) == DRAWN_AGAIN


@pytest.mark.parametrize("name", ["pair_bias.svg", "pair_head.png", "pair_figures.json"])
def test_damaged_figures_are_drawn_again(tmp_path: Path, name: str) -> None:
    store(tmp_path, "results", FIGURES)
    (tmp_path / "figures" / name).write_bytes(b"half")
    assert store(tmp_path, "results", DRAWN_AGAIN) == DRAWN_AGAIN


def test_each_file_of_the_models_folder_counts_as_its_results(tmp_path: Path) -> None:
    model = cross_validation(tmp_path, 2).model
    model.folder.mkdir(parents=True, exist_ok=True)
    before = digest_results(model)
    (model.folder / ".heldout.tsv.lock").touch()
    assert digest_results(model) == before
    (model.folder / "slices.safetensors").write_bytes(b"other slices")
    assert digest_results(model) != before
