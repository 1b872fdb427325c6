from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bids_shresnet.cli.check import main
from bids_shresnet.io.storage import write_json, write_text
from bids_shresnet.outputs.stamps import stamp_files
from bids_shresnet.outputs.verify import read_stamped_outputs
from bids_shresnet.runtime.leftovers import temporary_path
from bids_shresnet.version import __version__
from tests.datasets import write_tree
from tests.models import constant_model

DIGESTS = {"A": "aa11" + "0" * 60, "B": "bb22" + "0" * 60}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an output: a harmonized scan by model A, a target's scan by B, figures, a model."""
    root = tmp_path / "derivatives" / "shresnet"
    for subject, desc, key in (("01", "harmonized_dwi", "Harmonization"), ("02", "x_qc", "Scan")):
        folder = root / f"sub-{subject}" / "dwi"
        write_text(folder / f"sub-{subject}.tsv", subject)
        model = "A" if subject == "01" else "B"
        record = {"Model": f"from-{model}_to-C", "ModelSHA256": DIGESTS[model]}
        stamp = stamp_files([folder / f"sub-{subject}.tsv"], root)
        write_json(folder / f"sub-{subject}_desc-{desc}.json", {key: record, **stamp})
    figures = root / "sub-01" / "figures"
    write_text(figures / "a.png", "png")
    write_json(figures / "sub-01_desc-figures_dwi.json", stamp_files([figures / "a.png"], root))
    write_json(root / "sub-01/dwi/sub-01_desc-harmonization_qc.json", {"Scan": {}})
    write_json(root / "dataset_description.json", {})
    constant_model(root / "models/from-GE_to-Prisma", write_tree(tmp_path / "bids", {}))
    return root


def test_an_output_as_it_was_written_passes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(root)]) == 0
    assert main([str(root.parent.parent)]) == 0
    assert "3 stamps" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/dwi/sub-01.tsv",
        "sub-02/dwi/sub-02.tsv",
        "sub-01/figures/a.png",
        "sub-01/dwi/sub-01_desc-harmonized_dwi.json",
        "models/from-GE_to-Prisma/fold-01.safetensors",
        "models/from-GE_to-Prisma/model.json",
    ],
)
def test_a_changed_file_is_named_with_exit_code_65(
    name: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / name).write_bytes(b"{")
    assert main([str(root)]) == 65
    assert str(root / name) in capsys.readouterr().err


def test_what_another_job_is_writing_is_no_damage(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("sub-01/dwi", "sub-02/dwi", "sub-01/figures"):
        for path in list((root / folder).glob("*.json")):
            temporary_path(path).write_text("{")
    assert main([str(root)]) == 0
    assert "3 stamps" in capsys.readouterr().out


def test_a_stamp_that_is_removed_meanwhile_is_left_out(root: Path) -> None:
    first = root / "sub-01/dwi/sub-01_desc-harmonized_dwi.json"
    second = root / "sub-02/dwi/sub-02_desc-harmonized_dwi.json"
    shutil.copy(first, second)
    outputs = read_stamped_outputs(root)
    assert next(outputs).stamp == first
    second.unlink()
    assert [output.damaged for output in outputs] == [(), ()]


@pytest.mark.parametrize(
    ("flags", "listed"),
    [
        (["--model", "from-A_to-C"], "sub-01/dwi/sub-01_desc-harmonized_dwi.json"),
        (["--model", "bb22"], "sub-02/dwi/sub-02_desc-x_qc.json"),
        (["--model", "from-A_to-C", "--version", "9"], ""),
    ],
)
def test_what_a_model_or_a_version_made_is_listed(
    flags: list[str], listed: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(root), *flags]) == 0
    assert capsys.readouterr().out.split() == listed.split()


def test_the_version_of_this_app_made_all(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(root), "--version", __version__]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_path_that_cannot_be_read_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x" * 300]) == 74
    assert "bids-shresnet-check: reading or writing failed: " in capsys.readouterr().err


def test_a_folder_that_is_no_output_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 66
    assert "no output" in capsys.readouterr().err
