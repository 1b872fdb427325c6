"""The subjects of every fold of the cross-validation, and of the network for new subjects."""

from __future__ import annotations

from collections.abc import Sequence

from bids_shresnet.errors import UsageError
from bids_shresnet.pairs import Split
from bids_shresnet.settings import TrainingConfig

MIN_TRAVELLING_SUBJECTS = 3  # for training, early stopping (validation) and testing
MIN_FOLD_SUBJECTS = 2  # for training and early stopping


def split_subjects(subjects: Sequence[str], folds: int) -> tuple[Split, ...]:
    """Split subjects into folds.

    Every subject is held out once. The first held-out subject of the next fold is used for early
    stopping.

    Raises
    ------
    ValueError
        With fewer than three subjects.
    UsageError
        If there are so few folds that one has no subject left to train on.
    """
    count = len(subjects)
    if count < MIN_TRAVELLING_SUBJECTS:
        msg = (
            f"{count} travelling subjects; at least {MIN_TRAVELLING_SUBJECTS} are needed "
            "to train, to stop and to hold out"
        )
        raise ValueError(msg)
    number = min(folds, count)
    tests = [tuple(subjects[start::number]) for start in range(number)]
    if not tests or count - len(tests[0]) < MIN_FOLD_SUBJECTS:  # the first one is the largest
        msg = (
            f"--training.folds {folds}: a fold of {count} subjects has none left to train on; "
            f"ask for {count} folds"
        )
        raise UsageError(msg)
    validations = [test[0] for test in (*tests[1:], tests[0])]
    return tuple(
        _make_split(subjects, validation, test)
        for validation, test in zip(validations, tests, strict=True)
    )


def split_for_all(subjects: Sequence[str], training: TrainingConfig) -> Split:
    """Train on all subjects; on all but the first if a validation subject ends the training."""
    if training.schedule == "annealed":
        return Split(training=tuple(subjects), validation=(), test=())
    return Split(training=tuple(subjects[1:]), validation=tuple(subjects[:1]), test=())


def _make_split(subjects: Sequence[str], validation: str, test: tuple[str, ...]) -> Split:
    """Train on all other subjects."""
    held_out = (*test, validation)
    training = tuple(subject for subject in subjects if subject not in held_out)
    return Split(training, (validation,), test)
