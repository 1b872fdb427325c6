from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bids_shresnet.evaluation.statistics import (
    QUANTITIES,
    TISSUES,
    HeldOutResult,
    adjust_p_values,
    bootstrap_interval,
    compare_methods,
    summarize_bias,
)
from bids_shresnet.evaluation.validation import (
    subjects_needed,
    validate_against,
    validate_against_all,
)

ERRORS = {
    "no_harmonization": 0.04,
    "order_gain": 0.03,
    "shresnet": 0.01,
}  # NMSE, mean over subjects


def heldout(
    n: int, errors: dict[str, float] | None = None, spread: float = 0.1
) -> list[HeldOutResult]:
    """Rows of n subjects in all places; a subject has a factor on the errors of all methods, and noise of its own."""
    rng = np.random.default_rng(1)
    factors = np.exp(rng.normal(0, 0.5, n))
    return [
        HeldOutResult(
            f"{k:02d}",
            k,
            method,
            tissue,
            quantity,
            factors[k] * error * rng.uniform(1 - spread, 1),
            error,
        )
        for method, error in (errors or ERRORS).items()
        for tissue, quantity in product(TISSUES, QUANTITIES)
        for k in range(n)
    ]


@pytest.mark.parametrize(("n", "floor"), [(1, 1.0), (3, 0.25), (5, 0.0625), (10, 0.001953125)])
def test_a_method_better_in_all_of_n_subjects_reaches_the_floor_of_2_over_2_to_the_n(
    n: int, floor: float
) -> None:
    for comparison in compare_methods(heldout(n), "shresnet", ["no_harmonization"]):
        assert comparison.p_floor == floor == 2 / 2**n
        assert comparison.p == pytest.approx(floor, rel=1e-12)
        assert comparison.improved_share == 1


def test_p_is_the_share_of_signs_that_give_as_extreme_a_sum_of_ranks() -> None:
    rows = heldout(8, spread=0.95)
    [found] = [
        c
        for c in compare_methods(rows, "shresnet", ["order_gain"])
        if (c.tissue, c.quantity) == ("GM", "MD")
    ]
    ours, theirs = (
        np.array([r.nmse for r in rows if (r.method, r.tissue, r.quantity) == (name, "GM", "MD")])
        for name in ("shresnet", "order_gain")
    )
    ranks, signs = stats.rankdata(np.abs(ours - theirs)), np.array(list(product([-1, 1], repeat=8)))
    sums = np.abs(signs @ ranks)
    assert 2 / 2**8 < found.p < 1
    assert found.p == pytest.approx(np.mean(sums >= abs(np.sign(ours - theirs) @ ranks)))


@pytest.mark.parametrize("count", [1, 2, 7, 66])
def test_holm_is_that_of_statsmodels_in_any_order_and_with_ties(count: int) -> None:
    p = np.random.default_rng(count).integers(1, 40, count) / 400
    np.testing.assert_allclose(
        adjust_p_values(p.tolist()), multipletests(p, method="holm")[1], rtol=1e-12
    )
    assert adjust_p_values([]) == ()


def test_holm_is_over_the_whole_table() -> None:
    table = compare_methods(heldout(9, spread=0.95), "shresnet", ["no_harmonization", "order_gain"])
    assert len(table) == 2 * 6
    assert tuple(c.p_holm for c in table) == adjust_p_values([c.p for c in table])


def test_methods_that_agree_everywhere_are_not_told_apart() -> None:
    for comparison in compare_methods(
        heldout(7, {"no_harmonization": 0.02, "shresnet": 0.02}, spread=0),
        "shresnet",
        ["no_harmonization"],
    ):
        assert (comparison.p, comparison.decrease, comparison.interval) == (1, 0, (0, 0))
        assert not comparison.is_better


def test_a_common_factor_on_the_error_is_the_decrease_and_its_whole_interval() -> None:
    for comparison in compare_methods(
        heldout(6, {"no_harmonization": 0.04, "shresnet": 0.01}, spread=0),
        "shresnet",
        ["no_harmonization"],
    ):
        assert comparison.decrease == pytest.approx(0.75)
        assert comparison.interval == pytest.approx((0.75, 0.75))


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(n: int) -> None:
    rng, tries = np.random.default_rng(3), 200
    intervals = np.array(
        [
            bootstrap_interval(rng.normal(0.3, 1, (1, n)), lambda x: x[0].mean(axis=-1))
            for _ in range(tries)
        ]
    )
    covered = np.mean((intervals[:, 0] < 0.3) & (intervals[:, 1] > 0.3))
    assert (
        0.90 <= covered <= 0.99
    )  # 95 %; 200 tries leave 1.5 %, plain percentiles of 5 would cover 83 %


def test_fewer_than_three_subjects_have_no_interval() -> None:
    assert np.isnan(
        [c.interval for c in compare_methods(heldout(2), "shresnet", ["no_harmonization"])]
    ).all()
    assert np.isnan([bias.interval for bias in summarize_bias(heldout(2))]).all()


def test_only_subjects_that_both_methods_have_are_compared_and_only_where_both_have_them() -> None:
    rows = [
        r
        for r in heldout(6)
        if not (r.method == "no_harmonization" and (r.subject == "00" or r.quantity == "signal"))
    ]
    table = compare_methods(rows, "shresnet", ["no_harmonization", "golkov"])
    assert {(c.baseline, c.quantity, c.n) for c in table} == {
        ("no_harmonization", "FA", 5),
        ("no_harmonization", "MD", 5),
    }


def test_a_subject_counts_once_however_many_folds_it_is_in() -> None:
    rows = heldout(6)
    again = [
        HeldOutResult(r.subject, 9, r.method, r.tissue, r.quantity, r.nmse, r.bias) for r in rows
    ]
    assert compare_methods(rows + again, "shresnet", ["no_harmonization"]) == compare_methods(
        rows, "shresnet", ["no_harmonization"]
    )


def test_against_a_method_that_corrects_means_only_the_error_is_that_of_the_mean() -> None:
    rows = heldout(6, {"combat_mean": 0.2, "shresnet": 0.1})
    for comparison in compare_methods(rows, "shresnet", ["combat_mean"]):
        assert comparison.is_mean_error
        assert comparison.error == pytest.approx(0.1**2)
        assert comparison.decrease == pytest.approx(0.75)


def test_site_bias_keeps_its_sign() -> None:
    rows = [
        HeldOutResult(f"{k}", k, "no_harmonization", "WM", "FA", 0.1, bias)
        for k, bias in enumerate((-0.3, -0.1, 0.1))
    ]
    [summary] = summarize_bias(rows)
    assert summary.mean == pytest.approx(-0.1)
    assert summary.interval[0] < -0.1 < summary.interval[1]


@pytest.mark.parametrize(
    "change", [{"tissue": "CSF"}, {"quantity": "fa"}, {"nmse": float("nan")}, {"nmse": -1.0}]
)
def test_rows_that_would_spoil_a_mean_are_refused(change: dict[str, object]) -> None:
    row = {
        "subject": "1",
        "fold": 1,
        "method": "a",
        "tissue": "WM",
        "quantity": "FA",
        "nmse": 0.1,
        "bias": 0.0,
    }
    with pytest.raises(ValueError, match="expected a tissue"):
        HeldOutResult(**(row | change))  # type: ignore[arg-type]


# --- verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "answer"),
    [(1, "not enough subjects"), (5, "not enough subjects"), (6, "yes"), (10, "yes")],
)
def test_five_subjects_prove_nothing_and_six_can(n: int, answer: str) -> None:
    found = validate_against(
        compare_methods(heldout(n), "shresnet", ["no_harmonization"]), "no_harmonization"
    )
    assert (found.answer, found.n, found.better_count, found.comparison_count) == (answer, n, 6, 6)
    assert found.p == pytest.approx(2 / 2**n)
    assert (n >= subjects_needed()) == (answer == "yes")


def test_one_place_that_is_not_better_is_enough_for_no_and_is_named() -> None:
    rows = [
        HeldOutResult(
            r.subject, r.fold, r.method, r.tissue, r.quantity, 0.08 + 0.001 * r.fold, r.bias
        )
        if (r.method, r.tissue, r.quantity) == ("shresnet", "GM", "FA")
        else r
        for r in heldout(10)
    ]
    found = validate_against(
        compare_methods(rows, "shresnet", ["no_harmonization"]), "no_harmonization"
    )
    assert (found.answer, found.better_count) == ("no", 5)
    assert (found.weakest.tissue, found.weakest.quantity) == ("GM", "FA")


def test_ranks_that_say_worse_do_not_validate_even_if_the_mean_says_better() -> None:
    nothing, ours = [0.01] * 9 + [1.0], [0.011 + k * 1e-4 for k in range(9)] + [0.1]
    rows = [
        HeldOutResult(f"{k}", k, method, "WM", "FA", error, 0.0)
        for method, errors in (("no_harmonization", nothing), ("shresnet", ours))
        for k, error in enumerate(errors)
    ]
    [comparison] = compare_methods(rows, "shresnet", ["no_harmonization"])
    assert comparison.decrease > 0.8
    assert not comparison.is_better
    assert validate_against([comparison], "no_harmonization", alpha=1.0).answer == "no"


def test_a_method_like_its_reference_is_called_better_no_more_often_than_alpha() -> None:
    rng, yes, tries = np.random.default_rng(5), 0, 200
    for _ in range(tries):  # one place only: six places make a false "yes" rarer still
        errors = {
            name: rng.lognormal(0, 0.5, 8) for name in ("no_harmonization", "golkov", "shresnet")
        }
        rows = [
            HeldOutResult(f"{k}", k, name, "WM", "FA", e[k], 0.0)
            for name, e in errors.items()
            for k in range(8)
        ]
        yes += any(
            v.answer == "yes"
            for v in validate_against_all(
                compare_methods(rows, "shresnet", ["no_harmonization", "golkov"])
            )
        )
    assert yes / tries <= 0.05


def test_the_primary_verdict_has_full_alpha_and_the_others_share_it() -> None:
    names = ["order_gain", "no_harmonization", "golkov"]
    table = compare_methods(
        heldout(6, {"shresnet": 0.01, **dict.fromkeys(names, 0.04)}), "shresnet", names
    )
    assert [(v.baseline, v.answer) for v in validate_against_all(table)] == [
        ("no_harmonization", "yes"),
        ("order_gain", "not enough subjects"),
        ("golkov", "not enough subjects"),
    ]
    assert subjects_needed(baseline_count=2) == 7
    more = compare_methods(
        heldout(7, {"shresnet": 0.01, **dict.fromkeys(names, 0.04)}), "shresnet", names
    )
    assert {v.answer for v in validate_against_all(more)} == {"yes"}


def test_nothing_else_is_claimed_of_a_method_that_is_not_better_than_nothing() -> None:
    table = compare_methods(
        heldout(10, {"no_harmonization": 0.005, "golkov": 0.04, "shresnet": 0.01}),
        "shresnet",
        ["no_harmonization", "golkov"],
    )
    assert [v.answer for v in validate_against_all(table)] == ["no", "no"]


def test_a_reference_that_nothing_is_compared_with_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="golkov"):
        validate_against(compare_methods(heldout(6), "shresnet", ["no_harmonization"]), "golkov")
