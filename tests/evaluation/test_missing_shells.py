from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.config import ModelSettings
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.errors import BadInput
from bids_shresnet.evaluation.missing_shells import (
    MissingShellResult,
    evaluate_missing_shells,
    write_missing_shells,
)
from bids_shresnet.harmonization.predict import predict_missing_shells
from bids_shresnet.io.safetensors import read_record, serialize_arrays
from bids_shresnet.io.storage import read_tsv, write_bytes
from bids_shresnet.outputs.model.folder import Model, read_model
from bids_shresnet.pairs import Pair, TravellingSubject
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Scanner, Shell
from bids_shresnet.settings import FitSettings, NetworkConfig, TrainingConfig
from bids_shresnet.training.fold_jobs import (
    all_subjects_job,
    missing_shell_baselines,
    missing_shell_jobs,
    model_fold_jobs,
)
from bids_shresnet.training.folds import FoldJob, open_fold_subject
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.train_fold import train_fold
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from bids_shresnet.training.write_model import settings_difference, write_model
from tests.datasets import Series, spiral, write_tree
from tests.factories import make_scan
from tests.methods.heads import SHELLS, error, head, mask_patches, travelling

MISSING = (Shell(2000.0, 2), Shell(3000.0, 2))  # of the target, six coefficients each
VOLUMES = (7, 6)
QUICK = TrainingConfig(max_epochs=3, voxels_per_epoch=300, adam_batch=32, adam_learning_rate=3e-3)
SUBJECTS = ("01", "02", "03")


def missing_coefficients(patches: Float[np.ndarray, "v 27 n"]) -> Float[np.ndarray, "v c"]:
    """Coefficients of the target at the missing b-values: less of everything, and a mean."""
    mean = 0.4 * patches[:, :, :1].mean(1)
    isotropic = np.pad(mean, ((0, 0), (0, 5)))  # order 2 is zero
    return np.concatenate([0.7 * patches[:, 13, :6], isotropic], axis=1)


def travelling_subject(seed: int) -> TravellingSubject:
    """A head whose target has two shells more, measured with noise."""
    image = head(seed, (7, 7, 7))
    common = travelling(image, 7, sigma=0.02)
    tables = [spiral(count) for count in VOLUMES]
    matrix = evaluation_matrix(tables, MISSING).astype(np.float32)
    signal = missing_coefficients(mask_patches(image)) @ matrix.T
    noise = 0.005 * np.random.default_rng(seed).standard_normal(signal.shape)
    bvals = np.repeat([shell.bvalue for shell in MISSING], VOLUMES)
    labels = {
        "signal": (signal + noise).astype(np.float16),
        "bvals": bvals,
        "bvecs": np.concatenate(tables),
    }
    return replace(common, missing_shells=replace(common.matched, **labels, sh_matrix=matrix))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The target has every shell."""
    root = tmp_path_factory.mktemp("bids")
    series = {"ge": Series({0: 1, 1000: 6}), "prisma": Series({0: 1, 1000: 6, 2000: 7, 3000: 6})}
    travelling_scans = []
    for subject in SUBJECTS:
        scans = []
        for session, dwi in series.items():
            stem = root / f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi"
            write_tree(root, {str(stem.relative_to(root)): dwi})
            bvals = tuple(map(float, dwi.bvals))
            scan = make_scan(
                stem, subject=subject, scanner=Scanner(session), bvals=bvals, dataset=root
            )
            scans.append(scan)
        travelling_scans.append((scans[0], scans[1]))
    return Pair(Scanner("ge"), Scanner("prisma"), tuple(travelling_scans))


@pytest.fixture(scope="module")
def folds(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[FoldJob, ...]:
    root = tmp_path_factory.mktemp("model")
    prepared = []
    for seed, (source, target) in enumerate(pair.travelling_scans):
        folder = root / "work" / source.subject
        prepared.append(PrepareJob(source, target, PairShells(SHELLS, SHELLS, MISSING), folder))
        record = {"inputs": prepared[-1].digest}
        write_travelling_subject(folder, travelling_subject(seed), record)
    settings = FitSettings(training=QUICK, network=NetworkConfig(resblocks=1, hidden=3))
    folder = root / "models" / pair.name
    folds = model_fold_jobs(folder, prepared, SHELLS, settings, "shresnet")
    jobs = (*folds, all_subjects_job(folds))
    for job in (*jobs, *missing_shell_jobs(jobs, MISSING)):
        assert train_fold(job)
    return jobs


@pytest.fixture(scope="module")
def model(pair: Pair, folds: Sequence[FoldJob]) -> Model:
    dataset = pair.travelling_scans[0][0].dataset
    return write_model(pair, folds, "shresnet", dataset, SHELLS, missing_shell_jobs(folds, MISSING))


@pytest.mark.slow
def test_what_is_common_is_learned_the_same_whether_others_are_predicted_or_not(
    folds: Sequence[FoldJob],
) -> None:
    """Missing shells have a file of their own, which the harmonization does not read."""
    fold = folds[0]
    missing_fold = missing_shell_jobs(folds, MISSING)[0]
    assert fold.file != missing_fold.file
    assert read_record(fold.file)["harmonizer"]["architecture"]["outputs"] == [1, 5]
    architecture = read_record(missing_fold.file)["harmonizer"]["architecture"]
    assert (architecture["input_counts"], architecture["outputs"]) == ([1, 5], [1, 5, 1, 5])
    assert missing_shell_jobs(folds, ()) == ()


@pytest.mark.slow
def test_a_fold_for_missing_shells_is_trained_once_and_anew_for_other_shells(
    folds: Sequence[FoldJob],
) -> None:
    job = missing_shell_jobs(folds, MISSING)[0]
    assert not train_fold(job)
    assert missing_shell_jobs(folds, MISSING[:1])[0].digest != job.digest != folds[0].digest


@pytest.mark.slow
def test_the_card_names_the_shells_with_the_targets_directions_and_their_networks(
    pair: Pair, model: Model
) -> None:
    assert model.missing_shells == MISSING
    dirs = Series({0: 1, 1000: 6, 2000: 7, 3000: 6}).bvecs
    np.testing.assert_allclose(model.missing_shell_directions[1][:, 2], dirs[14:, 2], atol=1e-5)
    assert [len(table) for table in model.missing_shell_directions] == list(VOLUMES)
    networks = model.card.folds[1].missing_shells
    assert networks is not None
    damaged = model.folder / networks.file
    content = damaged.read_bytes()
    write_bytes(damaged, content + b" ")
    with pytest.raises(BadInput, match="missing-02"):
        read_model(model.folder)
    write_bytes(damaged, content)


def test_a_head_never_seen_shows_the_missing_shells(model: Model) -> None:
    image = head(9, (7, 7, 7))
    prediction = predict_missing_shells(model, model.fit_for(None), image, "cpu")
    assert prediction.shells == MISSING
    inside = prediction.coefficients[image.mask]
    assert error(inside, missing_coefficients(mask_patches(image))) < 0.02
    assert not prediction.coefficients[~image.mask].any()


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((1.0, 1.0), (0.0, 0.0)), ((0.5, 1.0), (0.25, 0.0)), ((1.0, 0.5), (0.0, 0.25))],
)
def test_errors_are_those_of_the_held_out_subject_at_each_shell(
    shares: tuple[float, float], expected: tuple[float, float], folds: Sequence[FoldJob]
) -> None:
    """The regression predicts the truth, or half of a shell: its error is a quarter."""
    (job, *_) = missing_shell_baselines(folds[0].folder.parent, missing_shell_jobs(folds, MISSING))
    weights = np.zeros((27, 6, 12), np.float32)
    weights[13, np.arange(6), np.arange(6)], weights[:, 0, 6] = 0.7, 0.4 / 27
    weights *= np.repeat(np.array(shares, np.float32), 6)
    arrays = {"weights": weights.reshape(-1, 12), "offset": np.zeros(12, np.float32)}
    write_bytes(job.file, serialize_arrays(arrays, {"harmonizer": {}}))
    results = evaluate_missing_shells(job)
    assert {(row.subject, row.fold, row.method) for row in results} == {
        (job.split.test[0], 1, "patch_linear")
    }
    assert {row.tissue for row in results} == {"GM"}  # there is no white matter in these heads
    assert [row.bvalue for row in results] == [2000.0, 3000.0]
    assert [row.nmse for row in results] == pytest.approx(expected, abs=5e-3)


def test_all_errors_are_written_and_their_means_returned(model: Model) -> None:
    errors = [
        MissingShellResult(sub, 1, "shresnet", 2000.0, "WM", value)
        for sub, value in (("01", 0.1), ("02", 0.3))
    ]
    errors.append(MissingShellResult("01", 1, "patch_linear", 2000.0, "WM", 0.5))
    means = write_missing_shells(model, errors)
    assert {(mean.bvalue, mean.method, mean.tissue, mean.nmse) for mean in means} == {
        (2000.0, "shresnet", "WM", 0.2),
        (2000.0, "patch_linear", "WM", 0.5),
    }
    rows = read_tsv(model.folder / "missing_shells.tsv")
    assert [(row["subject"], float(row["nmse"])) for row in rows] == [
        ("01", 0.1),
        ("02", 0.3),
        ("01", 0.5),
    ]


def test_a_model_without_missing_shells_is_another_setting(
    pair: Pair, model: Model, folds: Sequence[FoldJob]
) -> None:
    fit = FitSettings(training=QUICK, network=folds[0].network)
    settings = ModelSettings(predict_missing_shells=True)
    assert "predict_missing_shells" not in settings_difference(model, fit, settings)
    plain = replace(model, card=replace(model.card, missing_shells=()))
    assert "predict_missing_shells" in settings_difference(plain, fit, settings)
    assert "predict_missing_shells" not in settings_difference(
        plain, fit, ModelSettings(predict_missing_shells=False)
    )


def test_fitting_missing_shells_needs_a_subject_that_was_prepared_so(
    folds: Sequence[FoldJob],
) -> None:
    job = missing_shell_jobs(folds, MISSING)[0]
    subject = job.split.training[0]
    np.testing.assert_array_equal(
        open_fold_subject(job, subject).matched.bvals, np.repeat([2000.0, 3000.0], VOLUMES)
    )
    without = replace(travelling_subject(0), missing_shells=None)
    record = {"inputs": job.input_digests[subject]}
    write_travelling_subject(job.prepared_folders[subject], without, record)
    with pytest.raises(AssertionError, match="prepared without missing shells"):
        open_fold_subject(job, subject)
