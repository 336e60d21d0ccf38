"""Compares the new period with the reference period: one line per statistic, with its threshold."""

from dataclasses import dataclass, replace

from src.evaluation.scoring import Floats
from src.monitoring.calibration import MIN_INDEPENDENT, Calibration, calibrate
from src.monitoring.periods import BLOCKS_WANTED, Column, Periods, make_blocks
from src.monitoring.statistics import Statistic, all_statistics
from src.suggest import listing

NAMES = {
    "psi": "PSI", "ks": "Kolmogorov-Smirnov", "missing": "missing share", "outside": "outside range",
    "unseen": "unseen share", "mean": "mean change", "score": "score",
}  # fmt: skip
_LOOK = "look at its source; if the change is real, tune a challenger on newer rows and promote it"
ADVICE = {
    "psi": _LOOK,
    "ks": _LOOK,
    "missing": "look at its source: the model sees another share of missing values than in training",
    "outside": "check its unit; beyond the training range the prediction does not change with the value",
    "unseen": "check the spelling; the model reads such values as missing",
    "mean": "look at the columns that changed; if they are right, tune a challenger and promote it",
    "score": "tune a challenger on newer rows and promote it",
}
NEW_ACCOUNTS = "rows of accounts that training did not have: judge them apart, and tune again when they have a past"


@dataclass(frozen=True)
class Line:
    """One statistic of the new period.

    Attributes:
        what: the column, or what else was measured.
        measure: a key of `NAMES`.
        statistic: its name in words.
        value: in the statistic's own unit.
        threshold: above it the alarm rings (for a score: beyond it); None without a calibration.
        distance: in standard deviations between blocks of the reference period; None without a calibration.
        alarm: whether it rings.
        advice: what to do then.
    """

    what: str
    measure: str
    statistic: str
    value: float
    threshold: float | None
    distance: float | None
    alarm: bool
    advice: str


@dataclass(frozen=True)
class Drift:
    """The statistics of a run, the most unusual first, and notes of what could not be judged."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def with_predictions(periods: Periods, predictions: Floats) -> Periods:
    """The periods with the model's predictions, (n_rows,) in the order of the rows, as one more column."""
    column = Column("prediction", "prediction", predictions)
    return replace(periods, columns=(*periods.columns, column))


def measure_drift(periods: Periods, rate: float, window: int) -> Drift:
    """All statistics of the newest dates.

    Args:
        periods: with at least one column.
        rate: chance that any of the statistics rings in a run without drift.
        window: number of the newest dates that are judged.
    """
    blocks = make_blocks(periods, window)
    statistics = all_statistics(periods, blocks)
    calibration = calibrate(statistics, blocks, rate) if statistics else None
    lines = [_line(statistic, calibration, i) for i, statistic in enumerate(statistics)]
    notes = []
    if calibration is None:
        notes.append(
            f"no threshold for drift: {periods.n_reference} reference dates are less than {MIN_INDEPENDENT:g} times "
            f"the {window} judged dates: give a shorter --window, or a model with a longer training period"
        )
    elif blocks.n_independent < BLOCKS_WANTED:
        notes.append(
            f"the reference period is only {blocks.n_independent:.1f} times as long as the judged dates: "
            "thresholds rest on a normal distribution of the logarithm, and are wide"
        )
    if calibration is not None and calibration.incidents:
        named = listing(dict.fromkeys(f"{each.column} ({NAMES[each.measure]})" for each in calibration.incidents))
        notes.append(f"the reference period has incidents, which do not count for the thresholds: {named}")
    lines.sort(key=lambda line: (not line.alarm, -(line.distance or 0.0)))
    return Drift(tuple(lines), tuple(notes))


def _line(statistic: Statistic, calibration: Calibration | None, position: int) -> Line:
    name, measure = NAMES[statistic.measure], statistic.measure
    advice = NEW_ACCOUNTS if statistic.kind == "account" else ADVICE[measure]
    what = f"{statistic.column} (new accounts)" if statistic.kind == "account" else statistic.column
    value = float(statistic.values[-1])
    if calibration is None:
        return Line(what, measure, name, value, None, None, False, advice)
    distance = float(calibration.standardised[position])
    threshold = float(calibration.thresholds[position])
    return Line(what, measure, name, value, threshold, distance, distance > calibration.bound, advice)
