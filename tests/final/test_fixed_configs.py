"""The fixed configurations of an ensemble."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from src.config import Metric
from src.evaluation.scoring import Floats
from src.final.ensemble import Candidates
from src.final.ensemble_selection import Scorer, Selection
from src.final.fixed_configs import (
    FIXED_SHARE,
    MIN_CONFIDENCE,
    TOLERATED_LOSS,
    add_fixed_configs,
    find_fixed_configs,
    suitable_configs,
)
from src.search.search_space import suggest_hyperparameters
from src.search.starting_points import FIXED_CONFIGS, is_fixed_config, make_starting_sampler, store_starting_points
from src.study.sampler import make_sampler

N_DAYS, ROWS_A_DAY = 40, 10
DATES = np.repeat(np.datetime64("2024-01-01", "D") + np.arange(N_DAYS), ROWS_A_DAY)
Y = np.random.default_rng(5).normal(0, 10, N_DAYS * ROWS_A_DAY)
SCORER = Scorer("mae", Y, (slice(0, len(Y)),), DATES)


def study_of_starting_points(seed: int = 3) -> optuna.Study:
    """A study with the first ten trials of every study."""
    study = optuna.create_study(sampler=make_starting_sampler("auto", seed))
    store_starting_points(study, seed)

    def objective(trial: optuna.Trial) -> float:
        suggest_hyperparameters(trial)
        trial.set_user_attr("best_iteration", 7)
        return 1.0

    study.optimize(objective, n_trials=12)
    return study


def forecast(error: float, seed: int = 0) -> Floats:
    """A forecast of `Y` with errors of this mean size, different for every seed."""
    made: Floats = Y + np.random.default_rng(seed).normal(0, error * math.sqrt(math.pi / 2), len(Y))
    return made


def composed(predictions: list[Floats], fixed: list[int], size: int, n_best: int | None = None) -> dict[int, float]:
    """Weights by row of an ensemble whose best trial is row 0; the first `n_best`, all by default, may be selected."""
    stacked, scorer = np.stack(predictions), SCORER
    candidates = Candidates((), stacked, scorer, n_best or len(predictions), tuple(fixed))
    made = candidates.compose(size, start=0)
    assert made.rows[0] == 0, "the best trial comes first"
    assert sum(made.weights) == pytest.approx(1)
    assert made.score == pytest.approx(scorer.score(np.average(stacked[list(made.rows)], axis=0, weights=made.weights)))
    return dict(zip(made.rows, made.weights, strict=True))


def known_good(n: int) -> list[Floats]:
    """A best trial and `n` fixed configurations that are slightly worse but improve the mean."""
    return [forecast(4.0), *(forecast(4.1, seed) for seed in range(1, n + 1))]


@pytest.mark.parametrize(
    ("n_complete", "size", "taking_part"),
    [(5, 10, 5), (5, 20, 5), (5, 6, 3), (5, 4, 2), (5, 3, 1), (5, 2, 1), (3, 10, 3), (1, 10, 1), (1, 2, 1), (0, 10, 0)],
)
def test_the_share_grows_with_the_number_of_fixed_configurations(n_complete: int, size: int, taking_part: int) -> None:
    """All five together have 60 %; with fewer configurations each one keeps its share."""
    fixed = list(range(1, n_complete + 1))
    alone = composed(known_good(n_complete), fixed, size, n_best=1)
    assert alone == pytest.approx({0: 1 - 0.12 * taking_part} | dict.fromkeys(fixed[:taking_part], 0.12))
    selected_too = composed(known_good(n_complete), fixed, size)
    assert len(selected_too) <= size
    assert all(selected_too[row] >= 0.12 - 1e-12 for row in fixed[:taking_part])


def test_a_default_alone_has_no_majority() -> None:
    """A single fixed configuration has the share of one of five."""
    weights = composed([forecast(3.0), forecast(3.1, 1)], fixed=[1], size=2)
    assert weights == pytest.approx({0: 0.88, 1: 0.12})


def test_a_significantly_worse_configuration_is_left_out() -> None:
    best, constant, good = forecast(3.0), np.zeros(len(Y)), forecast(3.0, 1)
    weights = composed([best, constant, good], fixed=[1, 2], size=2)
    assert set(weights) == {0, 2}
    assert composed([best, constant], fixed=[1], size=10) == {0: 1.0}


def test_a_slightly_worse_configuration_takes_part() -> None:
    """The best trial was selected on these rows, so a small difference means little."""
    best = forecast(3.0)
    surely_behind = Y + 1.03 * (best - Y)
    predictions = np.stack([best, surely_behind, Y + 1.2 * (best - Y)])
    assert SCORER.confidence_worse(surely_behind, best) > MIN_CONFIDENCE
    assert suitable_configs([1, 2], 0, predictions, SCORER) == [1]
    few = np.flatnonzero(DATES[0] + 12 > DATES)
    noisy = Scorer("mae", Y[few], (slice(0, len(few)),), DATES[few])
    by_chance = np.stack([best[few], forecast(4.0, 1)[few]])
    assert noisy.loss(by_chance[1]) > (1 + TOLERATED_LOSS) * noisy.loss(by_chance[0])
    assert suitable_configs([1], 0, by_chance, noisy) == [1]


def test_the_mean_is_kept_if_the_best_trial_is_significantly_better_on_validation() -> None:
    """The best of many trials is too good on the rows that it was selected on."""
    best = forecast(3.0)
    behind = [Y + factor * (best - Y) for factor in (1.02, 1.03, 1.04)]
    mean = np.average([best, *behind], axis=0, weights=[0.64, 0.12, 0.12, 0.12])
    assert SCORER.confidence_worse(mean, best) > MIN_CONFIDENCE
    assert composed([best, *behind], [1, 2, 3], 10) == pytest.approx({0: 0.64, 1: 0.12, 2: 0.12, 3: 0.12})


@given(st.integers(0, 2**32 - 1), st.sampled_from(["mae", "rmse"]))
def test_the_mean_is_never_worse_on_validation_than_the_worse_of_its_two_parts(seed: int, metric: Metric) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=30)
    predictions = y + rng.normal(size=(6, 30)) * rng.uniform(0.1, 3, size=(6, 1))
    scorer = Scorer(metric, y, (slice(0, 30),))
    selected = Selection((0, 1), (2, 1), 0.0, ())
    made = add_fixed_configs(selected, [2, 3, 4, 5], predictions, scorer)
    parts = np.average(predictions[:2], axis=0, weights=[2, 1]), predictions[2:].mean(axis=0)
    assert made.score <= max(scorer.loss(part) for part in parts) + 1e-9


@pytest.mark.parametrize("sign", [1, -1])
def test_an_auc_is_compared_in_the_right_direction(sign: int) -> None:
    y = (Y > 0).astype(float)
    scorer = Scorer("auc", y, (slice(0, len(y)),), DATES)
    rng = np.random.default_rng(1)
    good, bad = y + rng.normal(0, 1, len(y)), y + rng.normal(0, 4, len(y))
    worse, better = (bad, good) if sign == 1 else (good, bad)
    assert (scorer.confidence_worse(worse, better) > 0.99) == (sign == 1)
    assert scorer.confidence_worse(better, worse) == pytest.approx(1 - scorer.confidence_worse(worse, better))
    assert (scorer.loss(worse) > scorer.loss(better)) == (sign == 1)
    tolerated = abs(scorer.loss(worse) - scorer.loss(better))
    assert scorer.confidence_worse(bad, good, by=tolerated) == pytest.approx(0.5)


@pytest.mark.parametrize("dates", [None, DATES[: len(Y)].astype("datetime64[M]").astype("datetime64[D]")])
def test_without_dates_or_with_few_of_them_rows_count_as_independent(dates: Any) -> None:
    scorer = Scorer("mae", Y, (slice(0, len(Y)),), dates)
    best = forecast(3.0)
    assert scorer.confidence_worse(np.zeros(len(Y)), best) > 0.999
    assert scorer.confidence_worse(best, best) == 0.5
    one = Scorer("mae", Y[:1], (slice(0, 1),), None if dates is None else dates[:1])
    assert one.confidence_worse(best[:1] + 9, best[:1]) == 0.5, "a single row says nothing"


def test_every_study_has_all_of_them_whatever_its_seed() -> None:
    for seed in range(5):
        found = find_fixed_configs(study_of_starting_points(seed))
        assert [trial.params for trial in found] == list(FIXED_CONFIGS)
        assert found[0].number == 0, "LightGBM's own defaults are tried first"


def test_similar_parameters_are_not_fixed_configurations() -> None:
    drawn = suggest_hyperparameters(optuna.create_study(sampler=make_sampler("random", 0)).ask())
    assert not is_fixed_config(drawn)
    assert is_fixed_config(FIXED_CONFIGS[1])
    assert not is_fixed_config(FIXED_CONFIGS[1] | {"learning_rate": 0.1001})


def test_only_complete_trials_of_our_objective_count() -> None:
    study = optuna.create_study()
    distributions = study_of_starting_points().trials[0].distributions
    made: dict[str, Any] = {"params": FIXED_CONFIGS[0], "distributions": distributions}
    study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={"best_iteration": 3}, **made))
    study.add_trial(create_trial(value=1.0, **made))
    assert find_fixed_configs(study) == []
    study.add_trial(create_trial(value=1.0, user_attrs={"best_iteration": 3}, **made))
    assert [trial.number for trial in find_fixed_configs(study)] == [2]


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=4), fixed=st.sets(st.integers(0, 4), max_size=5))
def test_weights_add_up_and_the_score_is_of_the_weighted_mean(counts: list[int], fixed: set[int]) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=20)
    predictions = y + rng.normal(size=(5, 20))
    scorer = Scorer("mae", y, (slice(0, 20),))
    members = tuple(range(len(counts)))
    made = add_fixed_configs(Selection(members, tuple(counts), 0.0, ()), sorted(fixed), predictions, scorer)
    weights = dict(zip(made.rows, made.weights, strict=True))
    assert sum(weights.values()) == pytest.approx(1)
    assert made.rows[0] == 0, "the best trial comes first"
    share = FIXED_SHARE * len(fixed) / 5
    for row in range(5):
        chosen = counts[row] / sum(counts) * (1 - share) if row in members else 0
        assert weights.get(row, 0) == pytest.approx(chosen + (FIXED_SHARE / 5 if row in fixed else 0))
    expected = np.abs(sum(weight * predictions[row] for row, weight in weights.items()) - y).mean()
    assert made.score == pytest.approx(expected)
