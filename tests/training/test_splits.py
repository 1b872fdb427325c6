from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bids_shresnet.errors import UsageError
from bids_shresnet.pairs import Split
from bids_shresnet.settings import TrainingConfig
from bids_shresnet.training.splits import split_for_all, split_subjects


@given(count=st.integers(3, 40), folds=st.integers(2, 15))
def test_every_subject_is_held_out_once_and_is_in_one_part_of_every_fold(
    count: int, folds: int
) -> None:
    subjects = [f"{number:02d}" for number in range(count)]
    assume((count, folds) != (3, 2))  # one fold would have no training subject
    splits = split_subjects(subjects, folds)
    assert sorted(subject for split in splits for subject in split.test) == subjects
    assert len(splits) == min(folds, count)
    for split in splits:
        parts = (split.training, split.validation, split.test)
        assert all(parts)
        assert sorted(sum(parts, ())) == subjects
        assert len(split.validation) == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_subjects_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} travelling subjects"):
        split_subjects(["01", "02"][:count], 10)


@pytest.mark.parametrize(("count", "folds"), [(3, 2), (5, 1), (3, 0), (4, -1)])
def test_folds_without_a_training_subject_are_refused(count: int, folds: int) -> None:
    with pytest.raises(UsageError, match=f"--training.folds {folds}"):
        split_subjects([str(number) for number in range(count)], folds)


def test_the_fit_to_all_subjects_needs_a_validation_subject_only_where_one_ends_the_training() -> (
    None
):
    subjects = ["01", "02", "03"]
    annealed = split_for_all(subjects, TrainingConfig())
    assert annealed == Split(training=("01", "02", "03"), validation=(), test=())
    two_stage = split_for_all(subjects, replace(TrainingConfig(), schedule="two-stage"))
    assert two_stage == Split(training=("02", "03"), validation=("01",), test=())
