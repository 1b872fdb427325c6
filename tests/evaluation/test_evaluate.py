from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.diffusion.tensors import fit_relative_tensor
from bids_shresnet.evaluation.evaluate import EvaluationResults, evaluate_fold, read_results
from bids_shresnet.evaluation.jobs import EvaluateJob, EvaluationSettings, evaluation_jobs
from bids_shresnet.evaluation.quantities import MIN_TISSUE_VOXELS
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.io.storage import read_json, write_bytes
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.linear import OrderGain, PatchLinear, ShProjection
from bids_shresnet.methods.template_methods import fit_template_methods
from bids_shresnet.pairs import Split, TravellingSubject, UnharmonizedData
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Tissue
from bids_shresnet.settings import Method, NetworkConfig, TrainingConfig
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import write_tree
from tests.factories import make_scan
from tests.methods.heads import (
    GAINS,
    GRID,
    SHELLS,
    fit_task,
    head,
    mask_patches,
    scaled,
    travelling,
)
from tests.models import constant_model

SPLIT = Split(("02", "03"), ("04",), ("01",))
SHIFTED = (1.2, 0.02)  # FA of the target is so many times the source's, and so much more
NONE = np.zeros(6, np.float32)


def fa_and_md(
    signal: Float[np.ndarray, "v d"], like: TravellingSubject
) -> Float[np.ndarray, "v 2"]:
    found = fit_relative_tensor(signal, like.matched.bvals, like.matched.bvecs)
    return np.stack([found.fa, found.md], axis=1)


def subject(
    seed: int, *, sigma: float = 0.0, strength: float = 1.0, grid: tuple[int, int, int] = GRID
) -> TravellingSubject:
    """A head whose target scales the orders; white matter is what has one direction there.

    Its own FA is that of the source's signal, and the target's FA, for ComBat, follows from it by a line.
    """
    image = head(seed, grid)
    image.coefficients[..., 1:] *= strength * (1 + 0.1 * seed)
    made = travelling(image, 15, change=scaled, sigma=sigma)
    clean = scaled(mask_patches(image)[..., :6]) @ made.matched.sh_matrix.T
    tissue = np.where(fa_and_md(clean, made)[:, 0] > 0.3, Tissue.WM, Tissue.GM).astype(np.uint8)
    own = fa_and_md(image.coefficients[image.mask] @ made.matched.sh_matrix.T, made)
    line = (SHIFTED[0] * own + [SHIFTED[1], 0]).astype(np.float32)
    plain = UnharmonizedData(image.coefficients[image.mask], unmask(own, image.mask), line)
    return replace(made, matched=replace(made.matched, tissue=tissue), unharmonized=plain)


def exact() -> OrderGain:
    """What the target does."""
    return OrderGain(GAINS, NONE)


def exact_on_patches() -> PatchLinear:
    """The same as a method that counts as free of noise."""
    weights = np.zeros((27, 6, 6), np.float32)
    weights[13] = np.diag(GAINS)
    return PatchLinear(weights.reshape(-1, 6), NONE)


def job(
    folder: Path,
    subjects: Mapping[str, TravellingSubject],
    harmonizers: Mapping[Method, Harmonizer],
    **changes: Any,
) -> EvaluateJob:
    """Fold 1, which never saw subject 01."""
    prepared, fitted = {}, {}
    for name, made in subjects.items():
        write_travelling_subject(folder / name, made, {"inputs": name})
        prepared[name] = folder / name
    for method, harmonizer in harmonizers.items():
        fitted[method] = folder / f"{method}.safetensors"
        write_bytes(
            fitted[method],
            serialize_arrays(harmonizer.arrays(), {"harmonizer": harmonizer.record()}),
        )
    usual = EvaluateJob(
        number=1,
        split=SPLIT,
        prepared_folders=prepared,
        repeat_folders={},
        shells=SHELLS,
        methods=tuple(harmonizers),
        applied_method=next(iter(harmonizers)),
        fitted_files=fitted,
        file=folder / "evaluation-01.json",
        seed=0,
        device="cpu",
    )
    return replace(usual, **changes)


def results(made: EvaluateJob) -> EvaluationResults:
    evaluate_fold(made)
    return read_results([made])


def value(
    found: EvaluationResults,
    method: str,
    tissue: str = "WM",
    quantity: str = "FA",
    name: str = "nmse",
) -> float:
    (row,) = (
        r for r in found.rows if (r.method, r.tissue, r.quantity) == (method, tissue, quantity)
    )
    return float(getattr(row, name))


HEADS = {"01": 1, "02": 2, "03": 3, "04": 4}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> EvaluationResults:
    """The source's own coefficients, and exactly the target's."""
    heads = {name: subject(seed) for name, seed in HEADS.items()}
    made = job(
        tmp_path_factory.mktemp("plain"),
        heads,
        {"sh_projection": ShProjection(), "order_gain": exact()},
    )
    return results(made)


def test_who_returns_exactly_the_targets_coefficients_has_no_error_no_bias_and_the_right_directions(
    plain: EvaluationResults,
) -> None:
    for row in plain.rows:
        if row.method == "order_gain":
            assert row.nmse < 1e-4
            assert abs(row.bias) < 0.005
            assert row.nmse < 0.1 * value(plain, "sh_projection", row.tissue, row.quantity)
    angles = {item.method: (item.angle, item.correlation) for item in plain.orientations}
    assert angles["order_gain"][0] < 0.5
    assert angles["order_gain"][1] > 0.9999


def test_every_method_and_doing_nothing_is_judged_in_every_tissue_and_quantity(
    plain: EvaluationResults,
) -> None:
    found = [
        (row.method, row.tissue, row.quantity)
        for row in plain.rows
        if not row.method.startswith("combat")
    ]
    methods = ("no_harmonization", "sh_projection", "order_gain")
    expected = [(m, t, q) for m in methods for t in ("WM", "GM") for q in ("signal", "FA", "MD")]
    assert sorted(found) == sorted(expected)
    assert {(row.subject, row.fold) for row in plain.rows} == {("01", 1)}
    assert [item.method for item in plain.orientations] == list(methods)


def test_doing_nothing_is_the_sources_own_fa_against_that_of_the_targets_signal(
    plain: EvaluationResults,
) -> None:
    made = subject(1)
    measured = fa_and_md(made.matched.signal.astype(np.float32), made)
    own = made.unharmonized.source_maps[made.source.mask]
    for tissue, label in (("WM", Tissue.WM), ("GM", Tissue.GM)):
        inside = made.matched.tissue == label
        for column, quantity in enumerate(("FA", "MD")):
            wanted, got = measured[inside, column], own[inside, column]
            nmse = ((wanted - got) ** 2).sum() / (wanted**2).sum()
            assert value(plain, "no_harmonization", tissue, quantity) == pytest.approx(
                nmse, rel=1e-3
            )
            bias = got.mean() / wanted.mean() - 1
            assert value(plain, "no_harmonization", tissue, quantity, "bias") == pytest.approx(
                bias, rel=1e-3
            )


def test_mean_and_deviation_of_differences_and_the_nmse_are_of_the_same_squares(
    plain: EvaluationResults,
) -> None:
    """mean^2 + deviation^2 is the mean square, so two methods have the same ratio of it as of their NMSE."""
    squares = {
        (r.method, r.tissue, r.quantity): r.mean**2 + r.deviation**2 for r in plain.agreements
    }
    assert {method for method, _, _ in squares} == {
        "no_harmonization",
        "sh_projection",
    }  # before, and the applied method
    for tissue, quantity in product(("WM", "GM"), ("signal", "FA", "MD")):
        before, after = (
            squares[method, tissue, quantity] for method in ("no_harmonization", "sh_projection")
        )
        ratio = value(plain, "no_harmonization", tissue, quantity) / value(
            plain, "sh_projection", tissue, quantity
        )
        assert before / after == pytest.approx(ratio, rel=1e-4)


def test_joint_histograms_count_the_same_values_and_power_is_that_of_before_after_and_target(
    plain: EvaluationResults,
) -> None:
    counts = plain.histograms.counts[0].sum(axis=(3, 4))  # (state, tissue, quantity)
    expected = [row.value_count for row in plain.agreements]  # in the same order
    assert counts.ravel().tolist() == expected
    assert plain.histograms.subjects == ("01",)
    assert [row.method for row in plain.powers[::4]] == [
        "target",
        "no_harmonization",
        "sh_projection",
    ]  # 2 tissues, 2 orders


def test_combat_of_means_undoes_a_scanner_that_shifts_and_stretches_them(
    plain: EvaluationResults,
) -> None:
    """A line through the means of two training subjects is the line they lie on. Of means the error is the bias."""
    found = [row for row in plain.rows if row.method == "combat_mean"]
    assert {(row.tissue, row.quantity) for row in found} == {
        (t, q) for t in ("WM", "GM") for q in ("FA", "MD")
    }
    assert all(row.nmse == pytest.approx(row.bias**2) for row in found)
    assert all(abs(row.bias) < 0.03 for row in found if row.quantity == "FA")


def test_a_method_that_takes_noise_away_is_judged_as_the_target_would_measure_it(
    tmp_path: Path,
) -> None:
    """Both predict the truth; noise makes measured FA too high, which is no error of either."""
    heads = {name: subject(seed, sigma=0.06, strength=0.2) for name, seed in HEADS.items()}
    for made in heads.values():
        made.matched.tissue[:] = np.where(
            np.arange(len(made.matched.tissue)) % 10, Tissue.GM, Tissue.WM
        )
    found = results(
        job(tmp_path, heads, {"patch_linear": exact_on_patches(), "order_gain": exact()})
    )
    assert value(found, "order_gain", "GM", name="bias") < -0.2
    assert abs(value(found, "patch_linear", "GM", name="bias")) < 0.03
    assert value(found, "patch_linear", "GM") < value(found, "order_gain", "GM")


def test_where_the_targets_noise_is_not_known_a_method_is_judged_as_it_is(tmp_path: Path) -> None:
    heads = {name: subject(seed) for name, seed in HEADS.items()}
    for made in heads.values():
        made.matched.noise_variance[:] = np.nan
    found = results(
        job(tmp_path, heads, {"patch_linear": exact_on_patches(), "order_gain": exact()})
    )
    assert value(found, "patch_linear") == pytest.approx(
        value(found, "order_gain"), rel=1e-3, abs=1e-6
    )


def test_a_target_scanned_twice_shows_what_no_method_can_go_below(tmp_path: Path) -> None:
    """The same head twice, in other directions with other noise, unmoved: the error is that of the noise."""
    heads = {name: subject(seed, sigma=0.02) for name, seed in HEADS.items()}
    image = heads["01"].source
    again = replace(
        image,
        coefficients=unmask(scaled(mask_patches(image)[..., :6]).astype(np.float32), image.mask),
    )
    second = travelling(again, 16, change=lambda patches: patches[:, 13], sigma=0.02)
    own = fa_and_md(second.matched.signal.astype(np.float32), second)
    plain = replace(second.unharmonized, source_maps=unmask(own, again.mask))
    second = replace(
        second,
        matched=replace(second.matched, tissue=heads["01"].matched.tissue),
        unharmonized=plain,
    )
    write_travelling_subject(tmp_path / "repeat", second, {"inputs": "repeat"})
    made = job(tmp_path, heads, {"order_gain": exact()}, repeat_folders={"01": tmp_path / "repeat"})
    found = results(made)
    assert value(found, "rescan") < 1e-6
    signal = value(found, "rescan", quantity="signal")
    white = heads["01"].matched.tissue == Tissue.WM
    noise = 0.02**2 / np.square(second.matched.signal[white].astype(float)).mean()
    assert signal == pytest.approx(noise, rel=0.1)
    assert [item.method for item in found.orientations] == [
        "no_harmonization",
        "rescan",
        "order_gain",
    ]
    assert value(found, "order_gain", quantity="signal") == pytest.approx(
        value(
            results(replace(made, repeat_folders={}, file=tmp_path / "without.json")),
            "order_gain",
            quantity="signal",
        )
    )


def test_the_methods_of_a_template_bring_combat_voxel_by_voxel_with_them(tmp_path: Path) -> None:
    grid = (16, 15, 14)  # ANTs needs that much
    heads = {name: subject(seed, grid=grid) for name, seed in HEADS.items()}
    fitted = fit_template_methods(fit_task([heads["02"], heads["03"]])).harmonizer
    found = results(job(tmp_path, heads, {"linear_rish": fitted}))
    combat = {(row.tissue, row.quantity) for row in found.rows if row.method == "combat_voxel"}
    assert combat == {(t, q) for t in ("WM", "GM") for q in ("FA", "MD")}
    assert value(found, "linear_rish", quantity="signal") < value(
        found, "no_harmonization", quantity="signal"
    )


# --- what little there is to say --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [MIN_TISSUE_VOXELS - 1, MIN_TISSUE_VOXELS])
def test_of_a_tissue_of_a_few_voxels_nothing_is_said(count: int, tmp_path: Path) -> None:
    heads = {name: subject(seed) for name, seed in HEADS.items()}
    tissue = heads["01"].matched.tissue
    tissue[:] = Tissue.WM
    tissue[:count] = Tissue.GM
    found = results(job(tmp_path, heads, {"order_gain": exact()}))
    said = {row.tissue for row in found.rows if row.method == "order_gain"}
    assert said == ({"WM", "GM"} if count == MIN_TISSUE_VOXELS else {"WM"})


def test_without_white_matter_of_one_direction_nothing_is_said_about_directions(
    tmp_path: Path,
) -> None:
    heads = {name: subject(seed) for name, seed in HEADS.items()}
    heads["01"] = subject(1, strength=0.05)
    heads["01"].matched.tissue[::2] = Tissue.WM
    found = results(job(tmp_path, heads, {"order_gain": exact()}))
    assert found.orientations == ()
    assert {row.tissue for row in found.rows if row.method == "order_gain"} == {"WM", "GM"}


def test_one_training_subject_tells_no_combat_of_means(tmp_path: Path) -> None:
    heads = {name: subject(seed) for name, seed in HEADS.items()}
    alone = Split(("02",), ("04",), ("01",))
    found = results(job(tmp_path, heads, {"order_gain": exact()}, split=alone))
    assert "combat_mean" not in {row.method for row in found.rows}


# --- once is enough ---------------------------------------------------------------------------------------------


def test_a_fold_is_evaluated_once_and_again_only_if_something_it_depends_on_changes(
    tmp_path: Path,
) -> None:
    heads = {name: subject(seed) for name, seed in HEADS.items()}
    made = job(tmp_path, heads, {"order_gain": exact(), "sh_projection": ShProjection()})
    assert evaluate_fold(made)
    assert not evaluate_fold(made)
    before = read_json(made.file)
    assert evaluate_fold(replace(made, methods=("order_gain",)))
    assert evaluate_fold(replace(made, seed=1))
    assert evaluate_fold(made)
    assert read_json(made.file) == before
    other = OrderGain(2 * GAINS, NONE)
    write_bytes(
        made.fitted_files["order_gain"],
        serialize_arrays(other.arrays(), {"harmonizer": other.record()}),
    )
    assert evaluate_fold(made)
    made.file.unlink()
    assert evaluate_fold(made)


@pytest.mark.parametrize("name", ["01", "02"], ids=["held out", "training"])
def test_a_subject_that_is_prepared_anew_is_evaluated_anew(name: str, tmp_path: Path) -> None:
    heads = {label: subject(seed) for label, seed in HEADS.items()}
    made = job(tmp_path, heads, {"order_gain": exact()})
    assert evaluate_fold(made)
    write_travelling_subject(made.prepared_folders[name], subject(9), {"inputs": "another scan"})
    assert evaluate_fold(made)
    assert not evaluate_fold(made)


def prepare_job(subject: str, folder: Path) -> PrepareJob:
    scan = make_scan(subject=subject)
    return PrepareJob(scan, scan, PairShells(SHELLS, SHELLS), folder / subject)


def test_there_is_a_job_for_every_fold_of_the_model_with_what_was_fitted_on_it(
    tmp_path: Path,
) -> None:
    model = constant_model(tmp_path / "model", write_tree(tmp_path / "bids", {}))
    names = ("01", "02", "03")
    prepared = [prepare_job(name, tmp_path) for name in names]
    settings = EvaluationSettings(
        folder=tmp_path,
        methods=("shresnet", "golkov"),
        applied_method="shresnet",
        seed=7,
        device="cpu",
    )
    baselines = [
        FoldJob(
            method="golkov",
            number=number,
            split=split,
            folder=tmp_path / "golkov",
            prepared_folders={},
            input_digests={},
            shells=SHELLS,
            network=NetworkConfig(),
            training=TrainingConfig(),
            seed=7,
            device="cpu",
        )
        for number, split in enumerate(model.splits, 1)
    ]
    jobs = evaluation_jobs(prepared, prepared[1:2], model, baselines, settings)
    assert [made.split.test for made in jobs] == [(name,) for name in names]
    for made, fold in zip(jobs, model.card.folds, strict=True):
        assert made.fitted_files == {
            "shresnet": model.folder / fold.weights.file,
            "golkov": baselines[made.number - 1].file,
        }
        assert made.split == fold.split
        assert made.prepared_folders == {name: tmp_path / name for name in names}
        assert made.repeat_folders == {"02": tmp_path / "02"}
        assert (made.methods, made.applied_method, made.seed) == (
            ("shresnet", "golkov"),
            "shresnet",
            7,
        )
    assert len({made.file for made in jobs}) == 3
