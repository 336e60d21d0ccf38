"""The samplers, by name. Draws depend on the seed and the trial's number, not on the worker.

- tpe: tree-structured Parzen estimators (Bergstra et al. 2011), multivariate (Falkner et al. 2018)
- gp: Gaussian process with expected improvement; needs the package torch, which is not installed by default
- cmaes: covariance matrix adaptation (Hansen 2016) for numeric parameters; the others are drawn at random
- random: independent draws
- qmc: Sobol's sequence, scrambled by the seed
- auto: the best one in our measurements, tpe

Optuna seeds a sampler once per process, so a resumed study would repeat its first draws, and so would all workers with
the same seed. Here samplers are reseeded for each trial: with one process, an interrupted study equals an uninterrupted
one, and workers can share a seed.
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

MODELLED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
MAX_WORSE = 1000


def seeds_of_trial(seed: int, number: int) -> list[int]:
    """Two independent seeds for a trial."""
    return [int(state) for state in np.random.SeedSequence([seed, number]).generate_state(2)]


class TrialSeededTPESampler(TPESampler):
    """Optuna's TPE, reseeded by (seed, trial number), with a cost that hardly grows with the study.

    Optuna splits the study's trials into better and worse ones again for each conditional parameter, five times for
    dart. Here this is done once per trial. Only the latest `MAX_WORSE` of the worse trials are modelled: Optuna's
    weights are small for older ones. Up to that number the draws equal Optuna's to the bit.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed
        self._split: tuple[tuple[str, int], list[FrozenTrial], list[FrozenTrial]] | None = None

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
        if self._split is None or self._split[0] != key:
            known = study.get_trials(deepcopy=False, states=MODELLED_STATES)
            others = [other for other in known if other.number != trial.number]
            n_ended = sum(other.state != TrialState.RUNNING for other in others)
            better, worse = split_trials(study, others, default_gamma(n_ended))
            self._split = (key, better, worse[-MAX_WORSE:])
        return self._split[1], self._split[2]


class ReseededSampler(BaseSampler):
    """Makes a new sampler for each trial, seeded by (seed, trial number); for samplers that keep no state.

    Args:
        make: makes a sampler from a seed; the sampler must read all its information from the study.
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
    """Limits `num_leaves` to what `max_depth` allows, so that different parameters do not train equal models.

    A tree of depth d has at most 2^d leaves: at depth 5, `num_leaves` 40 and 200 train the same model. The limited
    value is recorded, within the same range, and samplers learn from it.
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
    return TrialSeededTPESampler(seed)


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
        raise ConfigError("--sampler 'gp' needs the package torch: pip install torch, or use tpe")
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
        name: of the sampler.
        seed: of the study; the same for all workers.
        limit_depth: limit `num_leaves` to what `max_depth` allows, for LightGBM's search space.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    sampler = MAKERS[name](seed)
    return DepthLimitedSampler(sampler) if limit_depth else sampler
