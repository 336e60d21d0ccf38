"""The few errors of this project.

DailyProfitError
├── UserError            what the user got wrong: one line, exit status 2
│   ├── ConfigError      an option, a YAML key, a URL, an environment variable
│   └── DataError        a table that cannot be read or cannot be learned from
└── RunError             what went wrong although the input was right: exit status 1
    ├── StoreError       the study's store cannot be reached or written
    │   └── LockError    another process holds a lock and shows no sign of life
    ├── SearchError      the search ended without a single usable trial
    └── TrackingError    MLflow cannot be reached or refuses

A message names the value, says what is wrong with it and what would be right, in one line. `Interrupted` is no
error: it says that the user (or a SIGTERM) asked to stop, after everything finished was saved. `Drained` is the same of
a distributed worker whose machine is taken away: its exit status must not be the one of a worker that is done, nor the
one of somebody at a keyboard.
"""

from src.suggest import LONGEST_MESSAGE, shorten

LONGEST_ERROR = LONGEST_MESSAGE - len("error: ")


class DailyProfitError(Exception):
    """Base of every error that is shown as one line instead of a traceback; a long message loses its middle."""

    exit_status = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(shorten(message, LONGEST_ERROR))


class UserError(DailyProfitError):
    """The input is wrong; the same command will fail again until it is changed."""

    exit_status = 2


class ConfigError(UserError):
    """An option, a YAML key, a URL or an environment variable is wrong."""


class DataError(UserError):
    """The table cannot be read, or cannot be learned from."""


class RunError(DailyProfitError):
    """The input was right; something else failed, and the same command may succeed later."""


class StoreError(RunError):
    """The study's store cannot be reached or written."""


class LockError(StoreError):
    """Another process holds a lock and shows no sign of life."""


class SearchError(RunError):
    """The search ended without a single usable trial."""


class TrackingError(RunError):
    """MLflow cannot be reached, or refuses."""


class Interrupted(DailyProfitError):
    """Ctrl-C or SIGTERM: what was finished is saved, the same command goes on.

    Attributes:
        signal: the number of the signal, where it is known.
    """

    exit_status = 130
    signal = 0


class Drained(Interrupted):
    """SIGTERM to one of many workers: its trial waits for another one; 128 + 15, as a shell would say it."""

    exit_status = 143
