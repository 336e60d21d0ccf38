import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import lightgbm as lgb
import numpy as np
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray

from src.errors import UserError
from src.tracking.registry.comparison import MIN_NEW_DATES, ModelComparison, Predictions, judge
from src.tracking.registry.contests import (
    Record,
    Verdict,
    contest_key,
    contest_record,
    enter_contest,
    judged_until,
    record_verdict,
    recorded_contests,
    required_confidence,
    verdict_on,
)

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

MIN_PROBABILITY = 0.8
ACCOUNTS = 5
DAYS = np.datetime64("2024-01-01") + np.arange(1000)


class Killed(BaseException):
    """Simulates `kill -9`: the project's code must not catch it."""


@dataclass(frozen=True)
class Period:
    """Dates with five rows each, and models whose errors have a part of the market, of the date and of the row."""

    rng: np.random.Generator
    n_dates: int

    @cached_property
    def dates(self) -> NDArray[np.datetime64]:
        return DAYS[: self.n_dates].repeat(ACCOUNTS)

    @cached_property
    def y(self) -> NDArray[np.float64]:
        return self.rng.normal(size=self.dates.size)

    @cached_property
    def market(self) -> NDArray[np.float64]:
        return self.rng.normal(size=self.n_dates).repeat(ACCOUNTS)

    def model(self, size: float = 1.0) -> NDArray[np.float64]:
        """The predictions of a model whose error has this standard deviation."""
        own = self.rng.normal(size=self.n_dates).repeat(ACCOUNTS) + self.rng.normal(size=self.dates.size)
        predictions: NDArray[np.float64] = self.y + size * (self.market + own) / np.sqrt(3)
        return predictions

    def predictions(self, champion: NDArray[np.float64], challenger: NDArray[np.float64], number: int) -> Predictions:
        return Predictions("profit", "mae", uris(1, number), champion, challenger, self.y, self.dates, "digest")


def uris(champion: int, challenger: int) -> tuple[str, str]:
    return f"models:/profit/{champion}", f"models:/profit/{challenger}"


def enter(result: ModelComparison, records: dict[str, Record], min_probability: float = MIN_PROBABILITY) -> Verdict:
    """What `enter_contest` and `record_verdict` do, without a registry."""
    record = contest_record(result)
    records.setdefault(contest_key(record), record)
    verdict = verdict_on(result, records, min_probability)
    records[verdict.key] = record | {"contest": verdict.contest}
    return verdict


@pytest.mark.slow
@pytest.mark.parametrize("n_dates", [60, 250])
def test_twenty_equal_challengers_in_a_row_rarely_win(n_dates: int) -> None:
    """The chance that any of twenty is promoted is alpha at most, 0.2; without a rising bar it is far higher."""
    rng, runs, promoted, without_bar = np.random.default_rng(n_dates), 300, 0, 0
    for _ in range(runs):
        period, records, passed, confidences = Period(rng, n_dates), dict[str, Record](), False, [0.0]
        champion = period.model()
        for number in range(2, 22):
            until = judged_until(records, (1, number), str(period.dates[-1]))
            result = judge(period.predictions(champion, period.model(), number), until)
            verdict = enter(result, records)
            assert verdict.contest == number - 1
            passed |= verdict.refusal is None
            confidences.append(result.confidence or 0.0)
        promoted += passed
        without_bar += max(confidences) >= MIN_PROBABILITY
    assert promoted / runs <= 1 - MIN_PROBABILITY
    assert without_bar / runs > 0.3


def test_the_shares_of_alpha_add_up_to_alpha() -> None:
    spent = [1 - required_confidence(MIN_PROBABILITY, contest) for contest in range(1, 2001)]
    assert spent[:3] == pytest.approx([0.1, 0.2 / 6, 0.2 / 12])
    assert 0.1999 < sum(spent) < 0.2
    assert required_confidence(0, 1) == 0.5


@pytest.mark.slow
def test_a_model_of_shuffled_labels_is_refused_and_a_better_one_accepted() -> None:
    """Real fits on 20 seeds. The better one knows one more feature, so its error is smaller by 7 to 13 %."""
    refused, accepted, gains = 0, 0, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows, split = ACCOUNTS * 500, ACCOUNTS * 250
        x = rng.normal(size=(rows, 3))
        y = x @ [1.0, 0.7, 0.0] + rng.normal(size=500).repeat(ACCOUNTS) + rng.normal(size=rows)
        shuffled = rng.permutation(y[:split])
        champion = fit_predict(x[:, [0, 2]], y[:split])
        dates = DAYS[:250].repeat(ACCOUNTS)
        verdicts = []
        for number, prediction in ((2, fit_predict(x, shuffled)), (3, fit_predict(x, y[:split]))):
            predictions = Predictions(
                "profit", "mae", uris(1, number), champion, prediction, y[split:], dates, "digest"
            )
            result = judge(predictions)
            verdicts.append(enter(result, {}))
        gains.append(1 - result.comparison.challenger_score / result.comparison.champion_score)
        refused += verdicts[0].refusal is not None
        accepted += verdicts[1].refusal is None
    assert refused >= 19
    assert accepted >= 19
    assert min(gains) > 0.03 and max(gains) < 0.2


def fit_predict(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trains on the first rows, those with a label, and predicts the others."""
    settings = {"objective": "regression_l1", "num_leaves": 8, "num_threads": 1, "verbose": -1}
    booster = lgb.train(settings, lgb.Dataset(x[: y.size], y), num_boost_round=40)
    return np.asarray(booster.predict(x[y.size :]), np.float64)


def test_enough_new_dates_are_judged_alone() -> None:
    period = Period(np.random.default_rng(1), 200)
    predictions = period.predictions(period.model(), period.model(0.8), 2)
    whole = judge(predictions)
    assert whole.dates == ("2024-01-01", "2024-07-18")
    last_used = str(DAYS[200 - MIN_NEW_DATES - 1])
    assert judge(predictions, last_used).dates == (str(DAYS[200 - MIN_NEW_DATES]), "2024-07-18")
    too_few = str(DAYS[200 - MIN_NEW_DATES])
    assert judge(predictions, too_few) == whole
    undated = replace(predictions, dates=None)
    assert judge(undated, last_used) == judge(undated)


def test_new_dates_of_one_class_are_not_judged_alone() -> None:
    period = Period(np.random.default_rng(1), 200)
    y = (period.y > 0).astype(float)
    y[period.dates > DAYS[100]] = 1
    predictions = replace(period.predictions(period.model(), period.model(), 2), metric="auc", y=y)
    assert judge(predictions, str(DAYS[100])).n_dates == 200


def record(challenger: int, first: str | None, last: str | None, champion: int = 1) -> Record:
    return {"champion": champion, "challenger": challenger, "first": first, "last": last, "data_digest": "one"}


def test_the_last_judged_date_ignores_the_same_comparison() -> None:
    records = {
        "judged_a": record(2, "2024-01-01", "2024-03-31"),
        "judged_b": record(3, "2024-02-01", "2024-04-30"),
        "judged_c": record(2, None, None),
    }
    assert judged_until({}, (1, 2), "2024-05-31") is None
    assert judged_until(records, (1, 4), "2024-05-31") == "2024-04-30"
    assert judged_until(records, (1, 3), "2024-04-30") == "2024-03-31", "the same contest, repeated"
    assert judged_until(records, (1, 3), "2024-05-31") == "2024-04-30", "the same models on a later table"
    assert judged_until(records, (1, 3), None) == "2024-04-30"


def test_contests_that_share_a_date_are_counted() -> None:
    period = Period(np.random.default_rng(1), 100)
    result = judge(period.predictions(period.model(), period.model(), 9))
    first, last = result.dates or ("", "")
    records = {
        "judged_before": record(2, "2023-01-01", "2023-12-31"),
        "judged_touches": record(3, "2023-01-01", first),
        "judged_inside": record(4, "2024-02-01", "2024-02-28"),
        "judged_other_champion": record(5, last, "2025-01-01", champion=3),
        "judged_without_dates": record(6, None, None),
    }
    verdict = verdict_on(result, records, 0.8)
    assert verdict.contest == 4
    assert verdict.required == pytest.approx(0.99)
    again = verdict_on(result, records | {verdict.key: contest_record(result) | {"contest": 4}}, 0.8)
    assert again == verdict


def test_without_dates_contests_on_the_same_table_are_counted() -> None:
    period = Period(np.random.default_rng(1), 100)
    result = judge(replace(period.predictions(period.model(), period.model(), 9), dates=None))
    records = {"judged_other": record(2, None, None), "judged_same": record(3, None, None) | {"data_digest": "digest"}}
    assert verdict_on(result, records, 0.8).contest == 2


def judged_tags(version: int) -> dict[str, str]:
    tags = MlflowClient().get_model_version("profit", str(version)).tags
    return {key: value for key, value in tags.items() if key.startswith("judged_")}


def model_tags() -> dict[str, str]:
    return dict(MlflowClient().get_registered_model("profit").tags)


def a_contest(seed: int = 1) -> ModelComparison:
    period = Period(np.random.default_rng(seed), 100)
    return judge(period.predictions(period.model(), period.model(0.5), 2))


@pytest.mark.usefixtures("two_versions")
def test_a_contest_is_recorded_on_the_model_and_both_versions() -> None:
    result = a_contest()
    verdict = enter_contest(result, 0.8)
    assert (list(model_tags()), judged_tags(1)) == ([verdict.key], {}), "recorded before it is decided"
    record_verdict(result, verdict, 0.8, "run")
    assert model_tags() == judged_tags(1) == judged_tags(2)
    (text,) = model_tags().values()
    found = json.loads(text)
    assert datetime.fromisoformat(found.pop("at")).tzinfo is not None
    assert found == contest_record(result) | {
        "contest": 1, "min_probability": 0.8, "required_confidence": verdict.required, "passed": True, "run_id": "run",
    }  # fmt: skip
    assert recorded_contests("profit") == {verdict.key: json.loads(text)}
    again = enter_contest(result, 0.8)
    assert again == replace(verdict, run_id="run")
    record_verdict(result, again, 0.8, "run")
    assert model_tags() == {verdict.key: text}, "also its time stays"
    assert enter_contest(a_contest(seed=2), 0.8).contest == 2


@pytest.mark.usefixtures("two_versions")
def test_a_deleted_version_takes_no_contest_with_it() -> None:
    result = a_contest()
    record_verdict(result, enter_contest(result, 0.8), 0.8, "run")
    MlflowClient().delete_model_version("profit", "2")
    assert enter_contest(a_contest(seed=2), 0.8).contest == 2


@pytest.mark.usefixtures("two_versions")
def test_records_of_earlier_versions_of_the_program_count() -> None:
    text = json.dumps(record(2, "2024-01-01", "2024-02-01"))
    MlflowClient().set_model_version_tag("profit", "1", "judged_0123", text)
    assert enter_contest(a_contest(), 0.8).contest == 2


@pytest.mark.parametrize("call", ["set_registered_model_tag", "set_model_version_tag"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.usefixtures("two_versions")
def test_an_interrupted_record_is_completed(monkeypatch: pytest.MonkeyPatch, call: str, before: bool) -> None:
    real = getattr(MlflowClient, call)

    def killed(*arguments: object) -> None:
        if not before:
            real(*arguments)
        raise Killed

    result = a_contest()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MlflowClient, call, killed)
        record_verdict(result, enter_contest(result, 0.8), 0.8, "run")
    verdict = enter_contest(result, 0.8)
    assert verdict.contest == 1
    record_verdict(result, verdict, 0.8, "run")
    assert model_tags() == judged_tags(1) == judged_tags(2)
    assert len(model_tags()) == 1


@pytest.mark.parametrize("text", ["no JSON", "[1]"])
@pytest.mark.usefixtures("two_versions")
def test_an_edited_record_is_an_error(text: str) -> None:
    MlflowClient().set_registered_model_tag("profit", "judged_x", text)
    with pytest.raises(UserError, match="the tag judged_x of model 'profit' is not a JSON object: delete it in MLflow"):
        recorded_contests("profit")


@pytest.mark.usefixtures("two_versions")
def test_of_two_contests_at_once_one_counts_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is recorded between the record of the first and its decision."""
    real, verdicts = MlflowClient.set_registered_model_tag, list[Verdict]()

    def and_another(client: MlflowClient, *arguments: str) -> None:
        real(client, *arguments)
        monkeypatch.setattr(MlflowClient, "set_registered_model_tag", real)
        verdicts.append(enter_contest(a_contest(seed=2), 0.8))

    monkeypatch.setattr(MlflowClient, "set_registered_model_tag", and_another)
    verdicts.append(enter_contest(a_contest(), 0.8))
    assert [verdict.contest for verdict in verdicts] == [2, 2]
