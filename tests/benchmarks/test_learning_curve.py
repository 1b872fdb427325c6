from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.learning_curve import choose_excluded, format_rows, read_held_out
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import HELD_OUT_TSV, models_folder
from tests.datasets import write_tree
from tests.models import constant_model

ERRORS = {"no_harmonization": 0.4, "shresnet": 0.1}
SCALES = {"signal": 1.0, "FA": 2.0, "MD": 0.5}


def rows() -> pd.DataFrame:
    """Errors of two people, of which one has a twice as large one; biases are 1 and 3 %."""
    cells = product(ERRORS, SCALES, ("GM", "WM"), (1, 3), ("all", "interior"))
    return pd.DataFrame(
        {
            "subject": f"{person:02d}",
            "method": method,
            "tissue": tissue,
            "quantity": quantity,
            "places": places,
            "nmse": ERRORS[method] * SCALES[quantity] * person + (places == "all"),
            "bias": 0.01 * person * (-1 if tissue == "GM" else 1),
        }
        for method, quantity, tissue, person, places in cells
    )


def test_a_line_holds_the_decrease_of_mean_errors_and_the_mean_bias() -> None:
    held_out = rows()
    table = format_rows(4, held_out[held_out["places"] == "interior"], ["shresnet"])
    assert table == (
        "| 4 | shresnet | WM | 75.0 % | 75.0 % | 75.0 % | +2.0 % | +2.0 % |\n"
        "| 4 | shresnet | GM | 75.0 % | 75.0 % | 75.0 % | -2.0 % | -2.0 % |\n"
    )


def test_only_voxels_inside_the_brain_are_read(tmp_path: Path) -> None:
    folder = models_folder(output_root(tmp_path / "3"))
    model = constant_model(folder / "from-a_to-b", write_tree(tmp_path / "bids", {}))
    rows().to_csv(model.folder / HELD_OUT_TSV, sep="\t", index=False)
    held_out = read_held_out(tmp_path / "3")
    assert set(held_out["places"]) == {"interior"}
    assert set(held_out["subject"]) == {"01", "03"}


def test_the_last_subjects_are_excluded() -> None:
    assert choose_excluded(["03", "01", "02"], 2) == ["03"]
    assert choose_excluded(["01", "02"], 2) == []
    with pytest.raises(SystemExit, match="3 travelling subjects"):
        choose_excluded(["01", "02"], 3)
