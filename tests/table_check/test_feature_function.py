import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError
from src.table_check.feature_function import FeatureFunction, RawTable, check_function, load_function
from src.table_check.findings import Finding
from tests.table_check.panels import panel

FRAME = panel(n_days=60, n_accounts=4)
TABLE = RawTable(FRAME, "date", "account_id", ("y",))


def check(function: FeatureFunction, frame: pd.DataFrame = FRAME) -> list[Finding]:
    return check_function(function, RawTable(frame, "date", "account_id", ("y",)), seed=1)


def honest(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.sort_values("date")
    past = frame.groupby("account_id")["y"].shift(1)
    mean = past.groupby(frame["account_id"]).transform(lambda s: s.rolling(5).mean())
    return frame.assign(lag=past, mean=mean, size_of_today=frame["size"], text=frame["desk"] + "!")


def leaky(frame: pd.DataFrame) -> pd.DataFrame:
    by_account = frame.groupby("account_id")["y"]
    return pd.DataFrame(
        {
            "lag": by_account.shift(1),
            "tomorrow": by_account.shift(-1),
            "today": frame["y"],
            "standardised": frame["size"] - frame["size"].mean(),
            "mode": frame["desk"].where(frame["y"] < frame["y"].max(), "best"),
        }
    )


def test_features_of_earlier_rows_pass_whatever_the_order_of_the_rows() -> None:
    for frame in (FRAME, FRAME.sample(frac=1, random_state=0)):
        (finding,) = check(honest, frame.reset_index(drop=True))
        assert finding.severity == "ok"
        assert finding.text.startswith("4 features are the same")


def test_every_column_that_changes_is_named_with_date_account_and_both_values() -> None:
    findings = {finding.subject: finding for finding in check(leaky)}
    assert set(findings) == {"tomorrow", "today", "standardised", "mode"}
    assert {finding.severity for finding in findings.values()} == {"suspicious"}
    text = findings["tomorrow"].text
    date = text.partition("without the rows after ")[2][:10]
    row = FRAME[(FRAME["date"] == date) & (FRAME["account_id"] == "A3")].index[0]
    assert f"on {date}, account A3 it is nan instead of {FRAME['y'].iloc[row + 4]:.6g}" in text
    assert "with other targets on" in findings["today"].text


def test_a_result_with_keys_instead_of_the_index_is_matched() -> None:
    def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
        features = honest(frame).drop(columns=["y", "size"]).sample(frac=1, random_state=len(frame))
        return features.assign(date=features["date"].astype(str)).set_index("desk")

    texts = FRAME.assign(date=FRAME["date"].dt.strftime("%Y-%m-%d"))
    assert [finding.severity for finding in check(shuffled, texts)] == ["ok"]


def test_the_function_cannot_change_the_table() -> None:
    before = FRAME.copy(deep=True)

    def spoils(frame: pd.DataFrame) -> pd.DataFrame:
        frame["y"] = 0.0
        frame.loc[:, "size"] = -1.0
        del frame["desk"]
        return pd.DataFrame({"zero": frame["y"]})

    assert [finding.severity for finding in check(spoils)] == ["ok"]
    pd.testing.assert_frame_equal(FRAME, before)


def test_a_function_that_is_not_reproducible_is_not_called_a_look_ahead() -> None:
    random = np.random.default_rng(0)
    (finding,) = check(lambda frame: pd.DataFrame({"noise": random.normal(size=len(frame))}))
    assert (finding.severity, finding.subject) == ("suspicious", "noise")
    assert "between two calls on the same table" in finding.text


def test_a_column_that_exists_for_some_histories_only_is_named() -> None:
    (finding,) = check(lambda frame: pd.get_dummies(frame["date"].dt.month).add_prefix("m")[["m1"]].assign(
        **({"late": 1.0} if frame["date"].max() > pd.Timestamp("2023-03-20") else {})
    ))  # fmt: skip
    assert finding.subject == "late"
    assert "return the same columns for every history" in finding.text


def _raise(frame: pd.DataFrame) -> pd.DataFrame:
    raise ZeroDivisionError("two\nlines")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_raise, "failed on 240 rows: ZeroDivisionError: two lines; correct it"),
        (lambda frame: frame["y"], "returned a Series: return a DataFrame"),
        (lambda frame: frame[["y"]].head(3), "returned 3 rows for 240"),
        (lambda frame: pd.DataFrame(np.ones((len(frame), 2)), columns=["a", "a"]), "returned a column name twice"),
    ],
)
def test_a_function_that_fails_is_one_line(function: FeatureFunction, said: str) -> None:
    with pytest.raises(ConfigError, match=r"^--feature-function") as caught:
        check(function)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_features", "is not of the form module:function"),
        (":make", "is not of the form module:function"),
        ("no_such_module:make", "cannot be imported: ModuleNotFoundError"),
        ("broken_features:make", "cannot be imported: NameError: name 'undefined' is not defined"),
        ("good_features:mak", "has no function 'mak' (did you mean 'make'?)"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_features.py").write_text("undefined\n")
    (tmp_path / "good_features.py").write_text("def make(frame):\n    return frame\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_function(name)
    assert said in str(caught.value)
    assert callable(load_function("good_features:make"))
    sys.modules.pop("good_features")
