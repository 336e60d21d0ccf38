"""TPE whose draws depend on the seed and the trial's number, not on who runs the trial or how often it was begun.

Optuna seeds a sampler once per process: a study that is resumed would draw its first trials again, and so would every
worker with the same seed. Reseeding at each trial makes a study that was interrupted ten times equal to one that was
not, when one process runs it.
"""

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial


class NumberedTPESampler(TPESampler):
    """Optuna's TPE (Bergstra et al. 2011; multivariate: Falkner et al. 2018), reseeded by (seed, trial number)."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Called by Optuna before a trial's first draw."""
        first, second = np.random.SeedSequence([self._seed, trial.number]).generate_state(2)
        self._rng.rng.seed(first)
        self._random_sampler._rng.rng.seed(second)
        super().before_trial(study, trial)
