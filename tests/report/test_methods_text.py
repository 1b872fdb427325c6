from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.outputs.model.card import GivenImages, ScannerRecord
from bids_shresnet.outputs.model.folder import HELD_OUT_TSV, Model
from bids_shresnet.outputs.model.validation import Answer, BaselineAnswer, Validation
from bids_shresnet.report.applied_scans import AppliedScans, read_applied_scans
from bids_shresnet.report.methods_text import (
    CITATION_PATTERN,
    compose_methods_text,
    select_references,
)
from bids_shresnet.settings import (
    NO_HARMONIZATION,
    PAPER_NETWORK,
    PAPER_TRAINING,
    NetworkConfig,
    TrainingConfig,
)
from bids_shresnet.version import __version__
from tests.models import SUBJECTS, change_card, constant_model

# P-values and versions too, but not digits inside a word
NUMBER = re.compile(r"(?<![\w.@-])\d+(?:\.\d+)*(?:e-\d+)?")
SOFTWARE = {
    "bids_shresnet": __version__,
    "python": "3.11.7",
    "numpy": "2.3.5",
    "scipy": "1.15.3",
    "nibabel": "5.4.2",
    "dipy": "1.12.1",
    "pybids": "0.22.0",
    "antspyx": "0.6.3",
    "torch": "2.13.0",
}


def applied_scan(subject: str, role: str, in_training: str, mask: str) -> dict[str, str]:
    return {
        "participant_id": f"sub-{subject}",
        "role": role,
        "subject_in_training": in_training,
        "mask": mask,
    }


TRAVELLING = applied_scan("01", "harmonized", "yes", "given")
OTHER = applied_scan("04", "harmonized", "no", "computed")
TARGET = applied_scan("01", "target", "n/a", "given")
APPLIED = {"from-A_to-B": AppliedScans((TRAVELLING, OTHER, TARGET))}
METHOD_ERRORS = {NO_HARMONIZATION: 0.0414, "shresnet": 0.0228}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model whose card is complete and whose numbers all differ."""
    dataset = tmp_path / "bids"
    dataset.mkdir()
    write_json(dataset / "dataset_description.json", {"Name": "x"})
    model = constant_model(tmp_path / "model", dataset, target_bvalue=1234.0, missing=0.2)
    write_tsv(model.folder / HELD_OUT_TSV, held_out_rows())
    training = TrainingConfig(max_epochs=11, voxels_per_epoch=70123, adam_batch=77, stop_patience=9)
    return change_card(
        model,
        name="from-A_to-B",
        source_scanner=ScannerRecord("A", "GE", "SIGNA"),
        target_scanner=ScannerRecord("B", "Siemens", "Prisma"),
        sh_smoothing=0.006,
        network=NetworkConfig(resblocks=5),
        harmonizer={"architecture": {"hidden": 17}},
        training=training,
        folds=tuple(replace(fold, validation_loss=0.1) for fold in model.card.folds),
        seed=2019,
        software=SOFTWARE,
        validation=validation_result("yes"),
    )


def held_out_rows() -> list[dict[str, Any]]:
    """One row per subject, method, tissue and quantity."""
    endpoints = list(product(("WM", "GM"), ("signal", "FA", "MD")))
    rows = []
    for (fold, subject), method in product(enumerate(SUBJECTS, 1), METHOD_ERRORS):
        for number, (tissue, quantity) in enumerate(endpoints):
            nmse = METHOD_ERRORS[method] * (1 + fold / 7) * (1 + number / 13)
            row = {"subject": subject, "fold": fold, "method": method, "tissue": tissue}
            rows.append(row | {"quantity": quantity, "places": "all", "bias": 0.0, "nmse": nmse})
    return rows


def validation_result(answer: Answer) -> Validation:
    result = BaselineAnswer(answer=answer, largest_p=0.0123, smallest_possible_p=0.00195)
    better_than = {NO_HARMONIZATION: result, "linear_rish": result}
    return Validation(method="shresnet", subjects=3, better_than=better_than)


def paper_model(model: Model) -> Model:
    return change_card(
        model, network=PAPER_NETWORK, training=PAPER_TRAINING, method="shresnet_projected"
    )


def linear_model(model: Model) -> Model:
    """A method that is fitted in one step, without epochs."""
    folds = tuple(replace(fold, validation_loss=None) for fold in model.card.folds)
    return change_card(
        model, fitted_as="patch_linear", method_name="linear patch regression", folds=folds
    )


def unvalidated_model(model: Model) -> Model:
    (model.folder / HELD_OUT_TSV).unlink()
    return change_card(model, validation=None)


def record_values(record: Any) -> Iterator[Any]:
    """All values of a record, and the length of each of its lists and objects."""
    if not isinstance(record, Mapping | list):
        yield record
        return
    yield len(record)
    for value in record.values() if isinstance(record, Mapping) else record:
        yield from record_values(value)


def number_spellings(value: Any) -> set[str]:
    return {f"{value:g}", f"{value:.3g}"} if isinstance(value, float) else {str(value)}


def model_numbers(model: Model) -> set[str]:
    """Every number of the card and the mean held-out errors, in all spellings of the text."""
    spellings = {__version__}
    for value in record_values(model.card.to_json()):
        spellings |= number_spellings(value)
    errors = [model.held_out_errors(subject) for subject in SUBJECTS]
    for method, endpoint in product(METHOD_ERRORS, errors[0].get(NO_HARMONIZATION, {})):
        total = sum(subject_errors[method][endpoint].nmse for subject_errors in errors)
        spellings |= number_spellings(total / len(errors))
    return spellings


@pytest.mark.parametrize(
    "variant", [lambda model: model, paper_model, linear_model, unvalidated_model]
)
def test_each_number_of_the_text_is_one_of_the_model(
    model: Model, variant: Callable[[Model], Model]
) -> None:
    model = variant(model)
    text = compose_methods_text([model], [], {})
    text = text.replace("b = 0 image", "S0 image").replace("b = 1500 s", "the limit, s")
    numbers = NUMBER.findall(text)
    assert set(numbers) <= model_numbers(model)
    assert len(numbers) > 15


@pytest.mark.parametrize(
    "phrase",
    [
        "preprocessed by QSIPrep 1.0.1",
        "GE SIGNA (A) to Siemens Prisma (B)",
        "3 subjects scanned on both",
        "b = 1000 s/mm2 on the source, 1234 s/mm2 with 8 directions on the target, order 2)",
        "5 ResBlocks and 17 channels inside a functional unit",
        "at most 11 epochs of 70123 randomly drawn voxels, in batches of 77",
        "did not decrease for 9 epochs",
        "(seed 2019)",
        "fitted 3 times",
        "1 for training, 1 for early stopping (validation) and 1 for testing",
        "b = 2500 s/mm2, which the source lacks",
        "| signal, white matter | 0.0532 | 0.0293 |",
        "over unharmonized scans was significant (largest p = 0.0123; smallest attainable p",
        "over linear RISH [@karayumak2019] was significant",
        "PyTorch 2.13.0",
    ],
)
def test_what_a_reviewer_asks_is_answered(model: Model, phrase: str) -> None:
    assert phrase in compose_methods_text([model], [{"Name": "QSIPrep", "Version": "1.0.1"}], {})


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        ("yes", "over linear RISH [@karayumak2019] was significant"),
        ("no", "over linear RISH [@karayumak2019] was not significant"),
        (
            "not enough subjects",
            "With 3 held-out subjects, the comparison with linear RISH [@karayumak2019]",
        ),
    ],
)
def test_each_answer_of_the_validation_has_its_sentence(
    model: Model, answer: Answer, phrase: str
) -> None:
    model = change_card(model, validation=validation_result(answer))
    assert phrase in compose_methods_text([model], [], {})


def test_every_paragraph_is_one_line_of_whole_sentences(model: Model) -> None:
    paragraphs = (
        compose_methods_text([model, paper_model(model)], [], APPLIED).rstrip("\n").split("\n\n")
    )
    parts = ["**GE", "**Va", "| no"]
    assert [paragraph[:4] for paragraph in paragraphs] == ["# Me", "> Th", "Diff", *parts, *parts]
    for paragraph in paragraphs[1:]:
        if paragraph.startswith("|"):
            continue
        assert paragraph.endswith(".")
        assert not re.search(r"\n|  | [,.;:)]|\( ", paragraph)


@pytest.mark.parametrize(
    ("given", "sentences"),
    [
        (
            GivenImages(masks=6, tissues=3),
            ("Brain masks came with their scans.", "matter, as segmented in the input, a patch"),
        ),
        (
            GivenImages(masks=0, tissues=0),
            (
                "Brain masks of their scans were computed from the mean b = 0 image.",
                "matter, told by its loss of signal and the anisotropy around it, a patch",
            ),
        ),
        (
            GivenImages(masks=5, tissues=1),
            (
                "Brain masks came with 5 of their scans; the others were computed from the mean",
                "matter, as segmented in the input of 1 subject and told by its loss of signal and "
                "the anisotropy around it in the others, a patch",
            ),
        ),
    ],
)
def test_the_text_says_which_masks_and_tissues_came_with_the_training_scans(
    model: Model, given: GivenImages, sentences: tuple[str, ...]
) -> None:
    text = compose_methods_text([change_card(model, given_images=given)], [], {})
    assert all(sentence in text for sentence in sentences)


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        (
            [TRAVELLING, OTHER, OTHER, TARGET],
            (
                "applied to 3 scans of 2 subjects: 1 of travelling subjects, by the fit that held "
                "the subject out, and 2 of other subjects, by a further fit to all",
                "1 scan of the target scanner (1 subject) was not changed.",
                "Brain masks came with 2 of these scans; the others were computed",
            ),
        ),
        (
            [TRAVELLING, TARGET, TARGET],
            (
                "applied to 1 scan of 1 subject, by the fit that held the subject out.",
                "2 scans of the target scanner (1 subject) were not changed.",
                "Brain masks came with these scans.",
            ),
        ),
        (
            [OTHER],
            (
                "applied to 1 scan of 1 subject, by a further fit to all travelling subjects.",
                "Brain masks of these scans were computed",
            ),
        ),
    ],
)
def test_the_text_counts_the_scans_that_the_model_was_applied_to(
    model: Model, rows: list[dict[str, str]], sentences: tuple[str, ...], tmp_path: Path
) -> None:
    write_tsv(
        tmp_path / "group_qc.tsv",
        [*({**row, "model": "from-A_to-B"} for row in rows), {**OTHER, "model": "from-C_to-B"}],
    )
    text = compose_methods_text([model], [], read_applied_scans(tmp_path))
    assert all(sentence in text for sentence in sentences)
    assert ("of the target scanner" in text) == (TARGET in rows)


def test_without_applied_scans_the_text_says_nothing_of_them(model: Model, tmp_path: Path) -> None:
    text = compose_methods_text([model], [], read_applied_scans(tmp_path))
    for words in ("applied", "not changed", "these scans", " or else"):
        assert words not in text


@pytest.mark.parametrize("fitted_as", ["shresnet", "golkov"])
def test_exactly_what_is_cited_is_listed(model: Model, fitted_as: str) -> None:
    text = compose_methods_text([change_card(model, fitted_as=fitted_as)], [], {})
    listed = re.findall(r"@\w+\{(\w+),", select_references(text))
    assert sorted(listed) == sorted(set(CITATION_PATTERN.findall(text)))
