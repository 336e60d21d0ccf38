"""The exceptions of this project.

DailyProfitError
├── UserError            wrong input: one line, exit status 2
│   ├── ConfigError      an option, a YAML key, a URL, an environment variable
│   └── DataError        a table that cannot be read or from which nothing can be learned
└── RunError             a failure although the input was right: exit status 1
    ├── StoreError       the study's store cannot be reached or written
    │   └── LockError    another process holds a lock and has sent no heartbeat for too long
    ├── SearchError      the search ended without a usable trial
    └── TrackingError    MLflow cannot be reached or refuses a request

A message names the value, what is wrong with it and the remedy, in one line. `Interrupted` is not a failure: Ctrl-C or
SIGTERM stopped the process after it saved all finished work. `Drained` is the same for a distributed worker whose node
is drained: its exit status must differ from that of a worker that is done, and from that of Ctrl-C.
"""

from src.suggest import LONGEST_MESSAGE, shorten

LONGEST_ERROR = LONGEST_MESSAGE - len("error: ")


class DailyProfitError(Exception):
    """Base of all errors that are shown as one line without a traceback; the middle of a long message is cut."""

    exit_status = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(shorten(message, LONGEST_ERROR))


class UserError(DailyProfitError):
    """The input is wrong; the same command fails again until it is corrected."""

    exit_status = 2


class ConfigError(UserError):
    """An option, a YAML key, a URL or an environment variable is wrong."""


class DataError(UserError):
    """The table cannot be read, or nothing can be learned from it."""


class RunError(DailyProfitError):
    """The input was right, but something else failed; the same command may succeed later."""


class StoreError(RunError):
    """The study's store cannot be reached or written."""


class LockError(StoreError):
    """Another process holds a lock and has sent no heartbeat for too long."""


class SearchError(RunError):
    """The search ended without a usable trial."""


class TrackingError(RunError):
    """MLflow cannot be reached or refuses a request."""


class Interrupted(DailyProfitError):
    """Ctrl-C or SIGTERM: finished work is saved, and the same command resumes.

    Attributes:
        signal: the signal's number, 0 if unknown.
    """

    exit_status = 130
    signal = 0


class Drained(Interrupted):
    """SIGTERM to a distributed worker: its trial goes back to the queue. The status is 128 + 15, as in a shell."""

    exit_status = 143
