"""Why trials failed."""

from optuna.trial import TrialState

from src.reporting.study.failures import failures
from tests.reporting.hand_made import snapshot_of, trial


def test_reasons_are_grouped_the_most_frequent_first() -> None:
    shown = failures(
        snapshot_of(
            *(trial(None, TrialState.FAIL, user_attrs={"error": "ValueError: a\n  b"}) for _ in range(11)),
            trial(1.0, user_attrs={"error": "in a complete trial"}),
            trial(None, TrialState.FAIL),
            trial(None, TrialState.FAIL, user_attrs={"error": {"foreign": [1]}}),
        )
    )
    assert shown.rows == (
        ("ValueError: a b", 11, "0, 1, 2, 3, 4, 5, 6, 7 and 3 more"),
        ("no reason was recorded", 1, "12"),
        ("{'foreign': [1]}", 1, "13"),
    )


def test_passwords_are_masked_and_long_reasons_cut() -> None:
    reason = "OperationalError: postgresql://me:hunter2@host/db is away " + "x" * 900
    ((shown, _, _),) = failures(snapshot_of(trial(None, TrialState.FAIL, user_attrs={"error": reason}))).rows
    assert "hunter2" not in shown
    assert "postgresql://me:***@host/db" in shown
    assert len(shown) <= 200
    assert failures(snapshot_of()).rows == ()
