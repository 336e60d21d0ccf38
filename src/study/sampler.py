"""Who proposes parameters, by name. Draws depend on the seed and the trial's number, not on who runs the trial.

- tpe: tree-structured Parzen estimators (Bergstra et al. 2011), multivariate (Falkner et al. 2018)
- gp: Gaussian process with expected improvement; needs the package torch, which is not shipped
- cmaes: covariance matrix adaptation (Hansen 2016) over the numbers; what it cannot take is drawn at random
- random: independent draws
- qmc: Sobol's sequence, scrambled by the seed
- auto: the one that measured best here: tpe

Optuna seeds a sampler once per process: a study that is resumed would draw its first trials again, and so would every
worker with the same seed. Reseeding at each trial makes a study that was interrupted ten times equal to one that was
not, when one process runs it, and lets workers share a seed.
"""

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from src.errors import ConfigError
from src.study.optuna_internals import default_gamma, split_trials

MODELLED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
MAX_WORSE = 1000


def seeds_of_trial(seed: int, number: int) -> list[int]:
    """Two independent seeds for a trial."""
    return [int(state) for state in np.random.SeedSequence([seed, number]).generate_state(2)]


class NumberedTPESampler(TPESampler):
    """Optuna's TPE, reseeded by (seed, trial number), at a cost that hardly grows with the study.

    Optuna sorts the study's trials into better and worse ones anew for each parameter that not every trial has, five
    times for dart. Here it is done once per trial. Of the worse ones the last `MAX_WORSE` are modelled: Optuna's own
    weights fade the older ones out. Up to that many the draws are Optuna's to the bit.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed
        self._sorted: tuple[tuple[str, int], list[FrozenTrial], list[FrozenTrial]] | None = None

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Called by Optuna before a trial's first draw."""
        first, second = seeds_of_trial(self._seed, trial.number)
        self._rng.rng.seed(first)
        self._random_sampler._rng.rng.seed(second)
        super().before_trial(study, trial)

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        better, worse = self._better_and_worse(study, trial)
        of_better = self._build_parzen_estimator(study, search_space, better, handle_below=True)
        of_worse = self._build_parzen_estimator(study, search_space, worse, handle_below=False)
        candidates = of_better.sample(self._rng.rng, self._n_ei_candidates)
        improvement = self._compute_acquisition_func(candidates, of_better, of_worse)
        drawn: dict[str, Any] = TPESampler._compare(candidates, improvement)
        return {name: distribution.to_external_repr(drawn[name]) for name, distribution in search_space.items()}

    def _better_and_worse(self, study: optuna.Study, trial: FrozenTrial) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        key = (study.study_name, trial.number)
        if self._sorted is None or self._sorted[0] != key:
            seen = study.get_trials(deepcopy=False, states=MODELLED)
            others = [each for each in seen if each.number != trial.number]
            n_ended = sum(each.state != TrialState.RUNNING for each in others)
            better, worse = split_trials(study, others, default_gamma(n_ended))
            self._sorted = (key, better, worse[-MAX_WORSE:])
        return self._sorted[1], self._sorted[2]


class ReseededSampler(BaseSampler):
    """Makes a sampler anew for each trial, seeded by (seed, trial number): for those that keep their state elsewhere.

    Args:
        make: a sampler from a seed; what it knows it must read from the study.
        seed: of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._inner = make(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Called by Optuna before a trial's first draw."""
        self._inner = self._make(seeds_of_trial(self._seed, trial.number)[0])
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler behind it."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler behind it."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler behind it."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the sampler behind it."""
        self._inner.after_trial(study, trial, state, values)


class DepthLimitedSampler(ReseededSampler):
    """Draws `num_leaves` within what `max_depth` allows, so that equal models are not tried under several names.

    A tree of depth d has at most 2^d leaves: at depth 5 the parameters 40 and 200 train the same model. The recorded
    value is the one that counts, in the same range as before, and samplers learn from it.
    """

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """As the sampler behind it."""
        self._inner.before_trial(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler behind it, tied."""
        drawn = super().sample_relative(study, trial, search_space)
        if "num_leaves" in drawn and "max_depth" in drawn:
            drawn["num_leaves"] = _within_depth(drawn["num_leaves"], drawn["max_depth"], search_space["num_leaves"])
        return drawn

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler behind it, tied."""
        value = super().sample_independent(study, trial, param_name, param_distribution)
        if param_name == "num_leaves" and "max_depth" in trial.params:
            return _within_depth(value, trial.params["max_depth"], param_distribution)
        return value


def _within_depth(leaves: int, depth: int, distribution: BaseDistribution) -> int:
    lowest = getattr(distribution, "low", 2)
    return int(min(leaves, max(lowest, 2**depth)))


def _tpe(seed: int) -> BaseSampler:
    return NumberedTPESampler(seed)


def _random(seed: int) -> BaseSampler:
    return ReseededSampler(lambda of_trial: RandomSampler(seed=of_trial), seed)


def _cmaes(seed: int) -> BaseSampler:
    return ReseededSampler(lambda of_trial: CmaEsSampler(seed=of_trial, warn_independent_sampling=False), seed)


def _qmc(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return QMCSampler(
            scramble=True,
            seed=seed,
            independent_sampler=_random(seed),
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        )


def _gp(seed: int) -> BaseSampler:
    if importlib.util.find_spec("torch") is None:
        raise ConfigError("--sampler 'gp' needs the package torch, which is not shipped: pip install torch, or use tpe")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        make = optuna.samplers.GPSampler
        return ReseededSampler(lambda of_trial: make(seed=of_trial, warn_independent_sampling=False), seed)


MAKERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "auto": _tpe,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "random": _random,
    "qmc": _qmc,
}


def make_sampler(name: str, seed: int, limit_depth: bool = True) -> BaseSampler:
    """The sampler of this name; the names are those of `src.config.SAMPLERS`.

    Args:
        name: who proposes.
        seed: of the study; all its workers take the same.
        limit_depth: the search space is LightGBM's, and `num_leaves` goes no further than `max_depth` allows.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    sampler = MAKERS[name](seed)
    return DepthLimitedSampler(sampler) if limit_depth else sampler
