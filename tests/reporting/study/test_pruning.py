"""What pruning saved, on studies whose answer can be reckoned by hand."""

import math

import pytest
from optuna.trial import TrialState

from src.reporting.document.plot import Bars, Rule
from src.reporting.study.pruning import cut_edges, describe_pruning, pruning, pruning_plot
from tests.reporting.hand_made import reporting, snapshot_of, timed, trial

PRUNED = TrialState.PRUNED


def test_the_saving_is_the_steps_that_were_not_run_at_the_trials_own_speed() -> None:
    found = pruning(
        snapshot_of(
            timed(1.0, 0, 20, **reporting({50: 2.0, 100: 1.0})),
            timed(1.0, 20, 60, **reporting({200: 1.0})),
            timed(1.0, 60, 120, user_attrs={"curve": {"steps": [1, 300], "values": [3.0, 1.0]}}),
            timed(9.0, 120, 130, PRUNED, **reporting({10: 9.5, 50: 9.0})),  # 150 steps short, 0.2 s each
            timed(9.0, 130, 134, PRUNED, **reporting({40: 9.0})),  # 160 steps short, 0.1 s each
            timed(9.0, 134, 140, PRUNED, **reporting({250: 9.0})),  # beyond the median
            timed(None, 140, 141, PRUNED),
            timed(None, 141, 999, TrialState.FAIL, **reporting({5: 1.0})),
        )
    )
    assert (found.numbers, found.cuts, found.full) == ((3, 4, 5), (50, 40, 250), 200.0)
    assert found.saved_steps == 150 + 160
    assert found.saved_seconds == pytest.approx(150 * 0.2 + 160 * 0.1)
    assert found.spent_seconds == pytest.approx(20 + 40 + 60 + 10 + 4 + 6 + 1)
    message = describe_pruning(found)
    assert "3 trials were pruned; the median complete trial ran to step 200" in message
    assert "An estimated 310 steps were not run, which is 46 s, 25 % of" in message


def test_steps_from_zero_or_below_are_counted_from_there() -> None:
    found = pruning(
        snapshot_of(
            timed(1.0, 0, 10, **reporting({-2: 2.0, 7: 1.0})), timed(9.0, 10, 13, PRUNED, **reporting({0: 9.0}))
        )
    )
    assert found.saved_seconds == pytest.approx(7 * 3 / 3), "steps -2, -1 and 0 took three seconds"


def test_what_is_not_known_is_not_claimed() -> None:
    nobody = pruning(snapshot_of(trial(1.0), trial(9.0, PRUNED, **reporting({5: 9.0}))))
    assert nobody.full is None
    assert nobody.saved_steps == 0
    assert "unknown" in describe_pruning(nobody)
    at_once = [timed(9.0, 3, 3, PRUNED, **reporting({5: 9.0})), timed(1.0, 3, 2, **reporting({10: 9.0}))]
    assert describe_pruning(pruning(snapshot_of(*at_once))).endswith("An estimated 5 steps were not run.")
    assert pruning(snapshot_of()).cuts == ()


def test_the_bins_hold_every_cut_and_none_is_empty_for_lack_of_reports() -> None:
    cuts = [50, 60, 70, 70, 80, 100]
    stopped = [trial(9.0, PRUNED, **reporting({cut: 9.0})) for cut in cuts]
    found = pruning(snapshot_of(*stopped, trial(1.0, **reporting({300: 1.0}))))
    edges = cut_edges(found)
    assert edges[0] <= 50
    assert 100 < edges[-1] <= 120
    assert math.isclose(edges[1] - edges[0], 20.0)
    bars, rule = pruning_plot(found).marks
    assert isinstance(bars, Bars)
    assert isinstance(rule, Rule)
    assert list(bars.end) == [1, 3, 1, 1]
    assert rule.at == 300.0


@pytest.mark.parametrize("cuts", [[7], [7, 7, 7], [-3, 0], [1, 2, 3], [1, 10**9]])
def test_any_cuts_can_be_drawn(cuts: list[int]) -> None:
    found = pruning(snapshot_of(*(trial(9.0, PRUNED, **reporting({cut: 9.0})) for cut in cuts)))
    (bars,) = pruning_plot(found).marks
    assert isinstance(bars, Bars)
    assert sum(int(str(count)) for count in bars.end) == len(cuts)
