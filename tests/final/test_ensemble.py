"""From finished trials to one booster: candidates, selection, refits and their mean."""

import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from src.config import RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.encoding import encode
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.final import ensemble
from src.final.ensemble import Candidates, fit_final_model, gather_candidates, make_scorer
from src.final.final_model import FinalModel, TrainedModel, final_rounds, make_member, train_final_model, train_fits
from src.final.fit_budget import FitBudget
from src.final.fixed_configs import FIXED_SHARE, Weighting
from src.final.merged_model import merge_models
from src.search.binned_folds import BinnedFolds
from src.search.objective import retrain_and_predict
from src.search.search_task import SearchTask, make_task_objective
from src.search.starting_points import FIXED_CONFIGS
from src.search.stop_flag import StopFlag
from src.study.optuna_internals import storage_behind_cache
from src.study.store_location import EMBEDDED_FILE
from src.study.studies import OptunaStudyManager
from src.study.validation_predictions import MAX_KEPT, TABLE, PredictionStore
from tests.small_table import small_table

BASE: dict[str, Any] = {
    "boosting_type": "gbdt", "num_leaves": 12, "learning_rate": 0.15, "feature_fraction": 0.6,
    "min_child_samples": 10, "lambda_l1": 1e-3, "lambda_l2": 1e-3, "max_depth": 4, "min_gain_to_split": 0.0,
    "max_bin": 128, "bagging_fraction": 0.6, "bagging_freq": 1,
}  # fmt: skip
DART = BASE | {"boosting_type": "dart", "drop_rate": 0.1, "max_drop": 10, "skip_drop": 0.3}
GOSS = {name: value for name, value in BASE.items() if not name.startswith("bagging")} | {"boosting_type": "goss"}
DRAWN = [BASE, DART, GOSS, BASE | {"num_leaves": 30, "max_bin": 224}, DART | {"learning_rate": 0.05, "max_depth": 3}]
SPLITS = {"hold-out": SplitSettings(), "cv": SplitSettings(use_cv=True, n_folds=3, test_fraction=0)}


def make_task(folder: Path, target: str = "net_profit", split: str = "hold-out", size: int = 3) -> SearchTask:
    data = load_dataset(small_table(), TableConfig(), target)
    search = SearchSettings(storage_dir=folder, seed=3)
    settings = RunSettings(split=SPLITS[split], search=search, ensemble_size=size)
    return SearchTask(data, make_split_rows(data, settings.split), settings)


_finished_stores: dict[str, bytes] = {}
"""The embedded stores of finished studies, by what their trials depend on."""


def run_trials(task: SearchTask, drawn: list[dict[str, Any]]) -> optuna.Study:
    """The study of a task after these trials; trials that another test has run are copied with their store."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = task.settings.search.storage_dir / EMBEDDED_FILE
    keeps_predictions = task.settings.ensemble_size > 1
    key = repr((task.data.target, task.data.y.size, task.settings.split, keeps_predictions, drawn))
    if key in _finished_stores:
        file.write_bytes(_finished_stores[key])
    manager = OptunaStudyManager(task.settings.search.storage_dir)
    study = manager.create_or_load_study("s", task.data.config.direction, pruner=optuna.pruners.NopPruner())
    if key not in _finished_stores:
        for params in drawn:
            study.enqueue_trial(params)
        study.optimize(make_task_objective(task, study, StopFlag()), n_trials=len(drawn))
        with closing(sqlite3.connect(file)) as connection:
            _finished_stores[key] = connection.serialize()
    return study


def kept_numbers(study: optuna.Study) -> set[int]:
    with storage_behind_cache(study).engine.connect() as connection:
        return set(connection.execute(sqlalchemy.select(TABLE.c.trial_number)).scalars())


def forget(study: optuna.Study, *numbers: int) -> None:
    """Deletes stored predictions."""
    with storage_behind_cache(study).engine.begin() as connection:
        connection.execute(sqlalchemy.delete(TABLE).where(TABLE.c.trial_number.in_(numbers)))


def train_alone(task: SearchTask, study: optuna.Study, made: FinalModel) -> list[TrainedModel]:
    """Trains every member alone, with its number of rounds."""
    trials = [study.trials[member.trial] for member in made.members]
    rounds = [final_rounds(trial, task.rows, made.rounds_factor) for trial in trials]
    members = [make_member(trial, task.data, 3, n) for trial, n in zip(trials, rounds, strict=True)]
    return [train_fits([member.fit], task.data, task.rows) for member in members]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("target", ["net_profit", "num_trades", "is_profitable"])
def test_stored_predictions_equal_those_of_retrained_trials(tmp_path: Path, target: str, split: str) -> None:
    task = make_task(tmp_path, target, split)
    study = run_trials(task, DRAWN)
    kept = gather_candidates(task, study)
    for trial, scores in zip(kept.trials, kept.predictions, strict=True):
        reached = kept.scorer.score(scores.astype(np.float64))
        exact = trial.user_attrs["predicted_round"] == trial.user_attrs["best_iteration"]
        assert reached == pytest.approx(trial.value, rel=1e-6 if exact else 0.03)
    assert kept_numbers(study) == set(range(len(DRAWN)))
    forget(study, *range(len(DRAWN)))
    again = gather_candidates(task, study)
    assert [trial.number for trial in again.trials] == [trial.number for trial in kept.trials] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(again.predictions, kept.predictions)


def test_only_trials_without_predictions_are_trained_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(tmp_path)
    study = run_trials(task, DRAWN[:3])
    forget(study, 1)
    trained: list[int] = []

    def watched(folds: BinnedFolds, hyperparameters: dict[str, Any], rounds: int, *rest: Any) -> np.ndarray:
        trained.append(rounds)
        return retrain_and_predict(folds, hyperparameters, rounds, *rest)

    monkeypatch.setattr(ensemble, "retrain_and_predict", watched)
    with caplog.at_level(logging.INFO):
        gather_candidates(task, study)
    assert trained == [study.trials[1].user_attrs["best_iteration"]]
    assert "validation predictions of 1 of the 3 best trials are not stored here" in caplog.text


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_the_final_model_is_the_mean_of_its_members(tmp_path: Path, target: str) -> None:
    task = make_task(tmp_path, target, size=4)
    study = run_trials(task, DRAWN)
    model = fit_final_model(task, study, study.best_trial)
    members, weights = model.members, [member.fit.weight for member in model.members]
    assert 1 < len(members) <= 4, "on this table they help each other"
    assert members[0].trial == study.best_trial.number
    assert sum(weights) == pytest.approx(1)
    alone = train_alone(task, study, model)
    x = encode(task.data.features, model.levels)[task.rows.test]
    raw = [np.asarray(item.booster.predict(x, raw_score=True)) for item in alone]
    mean = np.average(raw, axis=0, weights=weights)
    expected = 1 / (1 + np.exp(-mean)) if target == "is_profitable" else mean
    np.testing.assert_allclose(model.predict(task.data, task.rows.test), expected, rtol=1e-9)
    assert model.rounds == tuple(item.booster.num_trees() for item in alone)
    assert model.booster.num_trees() == sum(model.rounds)
    assert model.heaviest.fit.weight == max(weights)
    assert model.heaviest.hyperparameters == study.trials[model.heaviest.trial].params
    kept = gather_candidates(task, study)
    together = np.average(kept.predictions[[member.trial for member in members]], axis=0, weights=weights)
    assert model.validation_score == pytest.approx(kept.scorer.score(together), rel=1e-6)
    again = fit_final_model(task, study, study.best_trial)
    assert again.booster.model_to_string() == model.booster.model_to_string()


@pytest.mark.parametrize("budget", [0.0, 1e9])
def test_a_time_limit_cuts_members_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: float) -> None:
    task = make_task(tmp_path, size=4)
    study = run_trials(task, DRAWN)
    whole = fit_final_model(task, study, study.best_trial)
    monkeypatch.setattr(ensemble, "fit_budget", lambda *_: FitBudget(budget, 2, "--timeout 60"))
    model = fit_final_model(task, study, study.best_trial)
    if budget:
        assert model.booster.model_to_string() == whole.booster.model_to_string()
        assert model.cuts == ()
        return
    (member,) = model.members
    assert (member.trial, member.fit.weight) == (study.best_trial.number, 1)
    assert model.validation_score == study.best_value
    rounds, members = model.cuts
    assert "rounds were not measured on folds, to keep --timeout 60" in rounds
    assert members.startswith(f"{len(whole.members) - 1} of {len(whole.members)} members (trials ")
    assert "--timeout 60 leaves 0 s for them" in members


def test_a_composition_of_fewer_members_has_their_weights_and_their_score(tmp_path: Path) -> None:
    task = make_task(tmp_path, size=4)
    candidates = gather_candidates(task, run_trials(task, DRAWN))
    whole = Weighting((0, 1, 3), (0.5, 0.3, 0.2), 0.0)
    assert candidates.keep(whole, [0, 1, 2]) is whole
    fewer = candidates.keep(whole, [0, 2])
    assert fewer.rows == (0, 3)
    assert fewer.weights == pytest.approx((5 / 7, 2 / 7))
    mean = np.average(candidates.predictions[[0, 3]], axis=0, weights=[5, 2])
    assert fewer.score == pytest.approx(candidates.scorer.score(mean), rel=1e-6)


def test_members_trained_in_parallel_are_identical(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    study = run_trials(task, DRAWN)
    weight = 1 / len(DRAWN)
    fits = [make_member(t, task.data, 3, final_rounds(t, task.rows), weight).fit for t in study.trials]
    at_once = train_fits(fits, task.data, task.rows, n_parallel=4).booster.model_to_string()
    assert at_once == train_fits(fits, task.data, task.rows).booster.model_to_string()
    alone = [train_final_model(trial, task.data, task.rows, 3).booster.model_to_string() for trial in study.trials]
    assert at_once == lgb.Booster(model_str=merge_models(alone, [weight] * len(DRAWN))).model_to_string()


def test_pruned_and_failed_trials_are_not_candidates(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    study = run_trials(task, DRAWN[:2])
    kept = study.trials[0].user_attrs
    for state in (TrialState.PRUNED, TrialState.FAIL):
        study.add_trial(
            optuna.trial.create_trial(
                state=state, params=BASE, distributions=study.trials[0].distributions, user_attrs=kept
            )
        )
    foreign = optuna.trial.create_trial(value=-1.0, params=BASE, distributions=study.trials[0].distributions)
    study.add_trial(foreign)
    assert [trial.number for trial in gather_candidates(task, study).trials] == [0, 1]


def test_a_study_with_one_complete_trial_is_that_trial(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = make_task(tmp_path)
    study = run_trials(task, DRAWN[:1])
    with caplog.at_level(logging.INFO):
        model = fit_final_model(task, study, study.best_trial)
    assert len(model.members) == 1
    assert "the final model is trial 0 alone: no ensemble is better on the validation rows" in caplog.text
    alone = train_final_model(study.best_trial, task.data, task.rows, seed=3)
    assert model.booster.model_to_string() == alone.booster.model_to_string()


def test_without_an_ensemble_no_predictions_are_stored_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path, size=1)
    study = run_trials(task, DRAWN[:2])
    assert kept_numbers(study) == set()
    monkeypatch.setattr(ensemble, "gather_candidates", None)
    assert len(fit_final_model(task, study, study.best_trial).members) == 1


def test_an_objective_of_ones_own_has_no_ensemble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = replace(make_task(tmp_path), user_objective=lambda *_: 0.0)
    study = run_trials(make_task(tmp_path, size=1), DRAWN[:2])
    model = fit_final_model(task, study, study.best_trial)
    assert len(model.members) == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("--ensemble-size 3 is ignored")


def test_with_ties_any_of_the_best_trials_may_be_first(tmp_path: Path) -> None:
    """Databases return any of several equal trials as the best one."""
    task = make_task(tmp_path)
    study = run_trials(task, [BASE])
    first = study.trials[0]
    for _ in range(MAX_KEPT + 5):
        study.add_trial(first)
    assert len(gather_candidates(task, study).trials) == MAX_KEPT
    model = fit_final_model(task, study, study.trials[-1])
    assert [member.hyperparameters for member in model.members] == [BASE]


def test_the_scorer_has_the_rows_of_the_folds_in_order(tmp_path: Path) -> None:
    task = make_task(tmp_path, split="cv")
    scorer = make_scorer(task)
    assert len(scorer.folds) == 3
    for fold, of_fold in zip(task.rows.folds, scorer.folds, strict=True):
        np.testing.assert_array_equal(scorer.y[of_fold], task.data.y[fold.valid])


def test_the_contributions_of_the_merged_model_add_up(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    study = run_trials(task, DRAWN)
    model = fit_final_model(task, study, study.best_trial)
    (tmp_path / "model.txt").write_text(model.booster.model_to_string())
    booster = lgb.Booster(model_file=tmp_path / "model.txt")
    x = encode(task.data.features, model.levels)[task.rows.test]
    contributions = np.asarray(booster.predict(x, pred_contrib=True))
    assert contributions.shape == (len(x), x.shape[1] + 1)
    np.testing.assert_allclose(contributions.sum(axis=1), model.predict(task.data, task.rows.test), rtol=1e-9)


def test_fixed_configurations_have_their_share(tmp_path: Path) -> None:
    task = make_task(tmp_path, size=4)
    study = run_trials(task, [*DRAWN, *FIXED_CONFIGS])
    model = fit_final_model(task, study, study.best_trial)
    members = {member.trial: member for member in model.members}
    assert len(members) <= 4, "fixed configurations count as members"
    fixed = {number for number, member in members.items() if member.is_fixed_config}
    assert fixed >= {5, 6}, "half of the members at most, LightGBM's defaults first; others may have been selected"
    assert all(members[number].fit.weight >= FIXED_SHARE / 5 - 1e-12 for number in (5, 6))
    assert members[study.best_trial.number].fit.weight > 0
    x = encode(task.data.features, model.levels)[task.rows.test]
    alone = dict(zip(members, train_alone(task, study, model), strict=True))
    mean = sum(member.fit.weight * np.asarray(alone[n].booster.predict(x)) for n, member in members.items())
    np.testing.assert_allclose(model.predict(task.data, task.rows.test), mean, rtol=1e-9)


def test_predictions_of_fixed_configurations_are_stored_too(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    study = run_trials(task, [FIXED_CONFIGS[0], BASE])
    known, other = study.trials
    store = PredictionStore.of(study)
    ((_, scores),) = store.load({1: float(other.value or 0)}, len(make_scorer(task).y))
    for number in range(2, MAX_KEPT + 2):
        value = float(known.value or 0) - number * 1e-3
        attrs = other.user_attrs
        study.add_trial(
            optuna.trial.create_trial(
                value=value, params=other.params, distributions=other.distributions, user_attrs=attrs
            )
        )
        store.keep(number, value, scores)
    assert kept_numbers(study) == {0, *range(2, MAX_KEPT + 2)}, "of the others the best only"
    kept = gather_candidates(task, study)
    assert kept.trials[-1].number == 0, "behind those that are selected from"
    assert (kept.n_best, kept.fixed) == (MAX_KEPT, (MAX_KEPT,))


@pytest.mark.parametrize("size", [2, 3])
def test_in_a_small_ensemble_the_default_is_one_of_five(tmp_path: Path, size: int) -> None:
    task = make_task(tmp_path, "num_trades", size=size)
    study = run_trials(task, [FIXED_CONFIGS[0], BASE, DART, GOSS])
    assert study.best_trial.number == 3
    model = fit_final_model(task, study, study.best_trial)
    weights = {member.trial: member.fit.weight for member in model.members}
    assert weights == pytest.approx({3: 0.88, 0: 0.12}), "nothing else was selected on this table"


def test_a_fixed_configuration_as_best_trial_counts_once(tmp_path: Path) -> None:
    task = make_task(tmp_path, "is_profitable", size=2)
    study = run_trials(task, [FIXED_CONFIGS[0], BASE, DART, GOSS])
    assert study.best_trial.number == 0
    model = fit_final_model(task, study, study.best_trial)
    assert len(model.members) == 2


def test_a_default_that_alone_survives_pruning_has_one_share_of_five(tmp_path: Path) -> None:
    """ASHA stops most of the first trials; a remaining fixed configuration has only its own share."""
    task = make_task(tmp_path, size=10)
    study = run_trials(task, [FIXED_CONFIGS[0], BASE, DART, GOSS])
    for params in FIXED_CONFIGS[1:]:
        distributions = study.trials[3 if params["boosting_type"] == "goss" else 0].distributions
        study.add_trial(optuna.trial.create_trial(state=TrialState.PRUNED, params=params, distributions=distributions))
    candidates = gather_candidates(task, study)
    assert candidates.fixed == (0,)
    chosen = candidates.compose(10, start=study.best_trial.number)
    weights = dict(zip(chosen.rows, chosen.weights, strict=True))
    alone = candidates_without_fixed(candidates).compose(10, start=study.best_trial.number)
    selected = dict(zip(alone.rows, alone.weights, strict=True)).get(0, 0.0)
    assert weights[0] == pytest.approx(FIXED_SHARE / 5 + (1 - FIXED_SHARE / 5) * selected)


def candidates_without_fixed(candidates: Candidates) -> Candidates:
    return replace(candidates, fixed=())


def test_a_default_without_splits_is_left_out(tmp_path: Path) -> None:
    """200 rows, half of them sampled, and at least 100 rows per leaf: no tree has a split."""
    data = load_dataset(small_table(n_days=25), TableConfig(), "num_trades")
    settings = RunSettings(search=SearchSettings(storage_dir=tmp_path, seed=3))
    task = SearchTask(data, make_split_rows(data, settings.split), settings)
    study = run_trials(task, [BASE | {"min_child_samples": 5}, FIXED_CONFIGS[3], FIXED_CONFIGS[0]])
    hopeless = study.trials[1]
    assert FIXED_CONFIGS[3]["min_child_samples"] == 100
    assert hopeless.value is not None
    assert hopeless.value < 1.5 * study.best_value, "the largest ratio of losses that was allowed before"
    candidates = gather_candidates(task, study)
    assert candidates.fixed == (2, 1)
    assert np.ptp(candidates.predictions[1]) == 0
    assert 1 not in candidates.compose(10, start=study.best_trial.number).rows
    model = fit_final_model(task, study, study.best_trial)
    assert 1 not in {member.trial for member in model.members}
