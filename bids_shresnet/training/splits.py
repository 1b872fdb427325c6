"""Subject-wise cross-validation: the training, validation and test subjects of every fold."""

from __future__ import annotations

from collections.abc import Sequence

from bids_shresnet.errors import UsageError
from bids_shresnet.pairs import Split

MIN_TRAVELLING_SUBJECTS = 3  # one to train on, one to stop by, one to be held out
MIN_FOLD_SUBJECTS = 2  # of them by a fold: one to train on, one to stop by


def split_subjects(subjects: Sequence[str], folds: int) -> tuple[Split, ...]:
    """Subject-wise cross-validation: every subject is held out once, the next one decides when to stop.

    Raises
    ------
    ValueError
        With fewer than three subjects.
    UsageError
        If the folds are so few that a fold has no subject left to train on.
    """
    count = len(subjects)
    if count < MIN_TRAVELLING_SUBJECTS:
        msg = f"{count} travelling subjects; at least {MIN_TRAVELLING_SUBJECTS} are needed to train, to stop and to hold out"
        raise ValueError(msg)
    groups = [tuple(subjects[start :: min(folds, count)]) for start in range(min(folds, count))]
    if not groups or count - len(groups[0]) < MIN_FOLD_SUBJECTS:  # the first group is the largest
        msg = f"--training.folds {folds}: a fold of {count} subjects has none left to train on; ask for {count} folds"
        raise UsageError(msg)
    splits = []
    for number, test in enumerate(groups):
        validation = groups[(number + 1) % len(groups)][0]
        rest = tuple(
            subject for subject in subjects if subject not in test and subject != validation
        )
        splits.append(Split(rest, (validation,), test))
    return tuple(splits)
