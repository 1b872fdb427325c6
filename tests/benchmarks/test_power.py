from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

from benchmarks.power import Study, compare_groups, correct_by_combat
from benchmarks.power_scans import lower_fa, study_scans, travelling_scans
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from tests.evaluation.tensor_heads import head_scan, tissue_labels

PEOPLE = 20
EFFECT = -0.05
SITE = 0.9  # factor on FA that the source scanner measures


def means() -> Float[np.ndarray, "person scanner group region"]:
    """FA of people with an effect in the first region, and a scanner that measures too little."""
    people = np.random.default_rng(0).uniform(0.49, 0.51, (PEOPLE, 1, 1, 1))
    scanner = np.array([SITE, 1.0])[:, None, None]
    group = np.array([[1.0, 1.0], [1 + EFFECT, 1.0]])
    return np.asarray(people * scanner * group)


def mean_difference(values: Float[np.ndarray, "person scanner group region"], region: int) -> float:
    """Mean over studies of the relative difference of the groups."""
    rng = np.random.default_rng(1)
    studies = [Study.draw(PEOPLE, rng) for _ in range(50)]
    tests = [compare_groups(study.select(values, region), study.is_patient) for study in studies]
    return float(np.mean([test.difference for test in tests]))


def test_a_study_has_two_equal_groups_of_which_patients_mostly_have_the_source() -> None:
    study = Study.draw(PEOPLE, np.random.default_rng(0))
    assert study.is_patient.sum() == 10
    assert study.has_source[study.is_patient].sum() == 8
    assert study.has_source[~study.is_patient].sum() == 2


def test_unbalanced_scanners_bias_the_difference_by_the_imbalance() -> None:
    source_share = {"control": 0.2, "patient": 0.8}
    level = {group: 1 - share * (1 - SITE) for group, share in source_share.items()}
    bias = level["patient"] / level["control"]
    assert mean_difference(means(), 1) == pytest.approx(bias - 1, abs=0.003)
    assert mean_difference(means(), 0) == pytest.approx(bias * (1 + EFFECT) - 1, abs=0.003)


def test_combat_of_travelling_heads_removes_a_factor_and_leaves_the_effect() -> None:
    travelling = means()[:, :, 0].reshape(-1, 2)
    corrected = correct_by_combat(means(), travelling)
    assert mean_difference(corrected, 1) == pytest.approx(0, abs=0.003)
    assert mean_difference(corrected, 0) == pytest.approx(EFFECT, abs=0.003)


def test_scans_are_ordered_by_person_scanner_and_group() -> None:
    out = Path("power")
    scans = study_scans(out, 2)
    variants = [(scan.person, scan.session, scan.group) for scan in scans]
    assert variants[:4] == [
        (101, "ge", "control"),
        (101, "ge", "patient"),
        (101, "prisma", "control"),
        (101, "prisma", "patient"),
    ]
    assert len({scan.stem for scan in scans}) == len(scans) == 8
    assert len({scan.subject for scan in travelling_scans(out, 3)}) == 3


def test_a_patient_has_a_lower_fa_in_the_region_alone() -> None:
    scan = head_scan()
    region = tissue_labels() == 2
    before = fit_tensor_maps(scan.dwi, scan.mask)
    after = fit_tensor_maps(lower_fa(scan.dwi, region, 1 + EFFECT), scan.mask)
    np.testing.assert_allclose(after.fa[region], (1 + EFFECT) * before.fa[region], rtol=1e-3)
    np.testing.assert_array_equal(after.fa[~region], before.fa[~region])
