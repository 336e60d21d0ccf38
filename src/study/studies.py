"""The studies of a store: names, creating and loading studies, finished trials, errors of the store."""

import logging
import os
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.config import Direction, SearchSettings
from src.disk import explain, is_full
from src.errors import ConfigError, RunError, SearchError, StoreError
from src.names import check_study_name, study_option
from src.secrets import mask_url, scrub
from src.study.feasibility import is_feasible, no_feasible_trial
from src.study.optuna_internals import id_of_study
from src.study.pruner import make_pruner
from src.study.retry_policy import RetryPolicy, is_transient
from src.study.sampler import make_sampler
from src.study.store_location import connect_args, engine_options, store_url
from src.study.store_lock import store_lock
from src.study.study_storage import StudyStorage
from src.study.validation_predictions import create_table
from src.suggest import listing, one_line

log = logging.getLogger(__name__)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
Callback = Callable[[optuna.Study, FrozenTrial], None]
Objective = Callable[[optuna.Trial], float]


def new_study_name(target: str, now: datetime | None = None) -> str:
    """`<target>_<YYYYMMDD>_<HHMMSS>`, in UTC, like all stored times."""
    return f"{target}_{now or datetime.now(UTC):%Y%m%d_%H%M%S}"


def default_pruner() -> BasePruner:
    """The median rule (Golovin et al. 2017) after ten trials and fifty boosting rounds."""
    return make_pruner("median")


class OptunaStudyManager:
    """Creates, finds and lists the studies of one store.

    Args:
        storage_dir: folder of the embedded store; used if neither `storage_url` nor OPTUNA_POSTGRES_* is given.
        storage_url: URL of a database; its password is never shown.
        wait_seconds: how long to wait for a database that does not answer yet, because a pod may start before it.
        quiet: log at DEBUG only that the database is unavailable.

    Raises:
        ConfigError: the URL is wrong, the store cannot be reached, or its file is not a store.
        StoreError: timed out waiting for the database, or its disk is full.
    """

    def __init__(
        self,
        storage_dir: str | Path = SearchSettings.storage_dir,
        storage_url: str | None = None,
        wait_seconds: float = 0.0,
        quiet: bool = False,
    ) -> None:
        self.url = store_url(storage_url, Path(storage_dir), os.environ)
        self._quiet = quiet
        try:
            self.storage = RetryPolicy(self.url, wait_seconds, quiet).call(self._open)
        except ConfigError as error:
            if wait_seconds and is_transient(error):
                raise StoreError(str(error)) from error
            raise

    def __repr__(self) -> str:
        return f"OptunaStudyManager({self.shown!r})"

    @property
    def shown(self) -> str:
        """The store's URL without its password."""
        return mask_url(self.url.render_as_string(hide_password=False))

    def create_or_load_study(
        self,
        study_name: str,
        direction: Direction = "minimize",
        sampler: BaseSampler | None = None,
        pruner: BasePruner | None = None,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> optuna.Study:
        """Loads the study, or creates it; two processes that create it at the same time get the same study.

        Args:
            study_name: up to 200 bytes.
            direction: as in Optuna; an existing study keeps its direction.
            sampler: TPE, seeded per trial, when None.
            pruner: the median rule when None.
            user_attrs: set on the study if it is new.

        Raises:
            ConfigError: the name is not allowed, or the study exists with the other direction.
        """
        check_study_name(study_name)
        with store_lock(self.url, "create", self.storage.retry_policy):
            known = study_name in self.list_studies()
            study = optuna.create_study(
                storage=self.storage,
                study_name=study_name,
                direction=direction,
                load_if_exists=True,
                sampler=sampler or make_sampler(SearchSettings.sampler, SearchSettings.seed, limit_depth=False),
                pruner=pruner or default_pruner(),
            )
            if not known:
                for key, value in (user_attrs or {}).items():
                    study.set_user_attr(key, value)
        if study.direction.name.lower() != direction:
            existing = study.direction.name.lower()
            raise ConfigError(
                f"study {study_name!r} exists with direction {existing}, not {direction}: use another --study-name"
            )
        return study

    def unused_study_name(self, target: str) -> str:
        """An unused name for a new study; studies that start within one second get different names."""
        now, known = datetime.now(UTC), set(self.list_studies())
        while (name := new_study_name(target, now)) in known:
            now += timedelta(seconds=1)
        return name

    def load_study(
        self, study_name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
    ) -> optuna.Study:
        """Loads an existing study.

        Args:
            study_name: name of the study.
            sampler: TPE, seeded per trial, when None.
            pruner: the median rule when None.

        Raises:
            ConfigError: it does not exist.
        """
        names = self.list_studies()
        if study_name not in names:
            known = listing(sorted(names)[-5:]) or "none yet"
            raise ConfigError(f"there is no study {study_name!r} in {self.shown}: there are {known}")
        sampler = sampler or make_sampler(SearchSettings.sampler, SearchSettings.seed, limit_depth=False)
        pruner = pruner or default_pruner()
        return optuna.load_study(study_name=study_name, storage=self.storage, sampler=sampler, pruner=pruner)

    def list_studies(self) -> list[str]:
        """Names of all studies in the store."""
        return optuna.get_all_study_names(self.storage)

    def newest_study(self, target: str) -> str | None:
        """Name of the most recently created study named `<target>_<time>`; None if there is none.

        The order of creation is that of the store. The times in the names come from the clocks of several machines, and
        earlier versions of this program used local time.
        """
        pattern = re.compile(re.escape(target) + r"_\d{8}_\d{6}")
        studies = [study for study in self.storage.get_all_studies() if pattern.fullmatch(study.study_name)]
        return max(studies, key=id_of_study).study_name if studies else None

    def _open(self) -> StudyStorage:
        try:
            if self.url.get_backend_name() == "sqlite":
                Path(self.url.database or "").parent.mkdir(parents=True, exist_ok=True)
            with store_lock(self.url, "create"):  # if two processes create the tables at the same time, one fails
                self._refuse_foreign_database()
                storage = StudyStorage(self.url.render_as_string(hide_password=False), engine_options(self.url))
                create_table(storage.engine)
            storage.retry_policy.quiet = self._quiet
            return storage
        except OSError as error:
            if is_full(error):
                raise StoreError(explain(error)) from error
            raise ConfigError(
                f"the store {self.shown} cannot be opened: {error.strerror}; name a folder that can be written"
            ) from error
        except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:  # RuntimeError: another Optuna's tables
            reason = scrub(one_line(root_cause_line(error)), self.url.render_as_string(hide_password=False))
            refused = f"the store {self.shown} cannot be used: {reason}"
            if is_full(error):
                raise StoreError(f"{refused}: free space on its disk, then give the same command again") from error
            raise ConfigError(f"{refused}: name another store, or repair this one") from error

    def _refuse_foreign_database(self) -> None:
        """Refuses MLflow's database: both MLflow and Optuna keep a schema version in a table `alembic_version`."""
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool, connect_args=connect_args(self.url))
        with engine.connect() as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
        if "alembic_version" in tables and not {"studies", "version_info"} <= tables:
            raise ConfigError(
                f"the store {self.shown} is the database of another program, likely MLflow: use a separate database"
            )


def root_cause_line(error: BaseException) -> str:
    """The message of the first error in a chain, in one line: SQLAlchemy and Optuna wrap the driver's error."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return text.splitlines()[0]


def store_error(error: BaseException, study_name: str) -> RunError:
    """The error for a store or a disk that fails during a search, with the remedy."""
    resume = f"the same command with {study_option(study_name)} resumes it"
    if isinstance(error, OSError):
        return RunError(explain(error, f"then {resume}"))
    reason, remedy = one_line(root_cause_line(error)), "free space on its disk, " if is_full(error) else ""
    return StoreError(f"the store of study {study_name!r} failed: {reason}; {remedy}finished trials are kept, {resume}")


def set_optuna_verbosity(verbose: bool = False) -> None:
    """Shows Optuna's log only with `--verbose`; the progress bar shows trials, and the study stores them."""
    optuna.logging.set_verbosity(optuna.logging.INFO if verbose else optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", "Constraints have been set, but CmaEsSampler")  # docs/search.md says so


def n_finished(study: optuna.Study) -> int:
    """Number of complete and pruned trials."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def best_trial(study: optuna.Study) -> FrozenTrial:
    """The study's best complete trial that meets all constraints.

    Raises:
        SearchError: there is none.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise SearchError(
            f"study {study.study_name!r} has no complete trial: give more time or a larger --n-trials "
            f"and resume with {study_option(study.study_name)}"
        )
    if not any(is_feasible(trial) for trial in complete):
        raise no_feasible_trial(study.study_name, complete)
    return study.best_trial
