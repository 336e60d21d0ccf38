"""What stops a search from outside."""

from dataclasses import dataclass
from time import monotonic

from src.errors import Interrupted


@dataclass
class Brake:
    """What ends a trial from outside: a request to stop, or the search's deadline.

    Attributes:
        requested: set by a signal handler; the running trial is given back.
        deadline: `time.monotonic()` after which the running trial ends with the best round so far.
        signal: the number of the signal that asked, 0 if none did.
        leaving: a callback stopped the study, here or in another worker; the running trial is the last.
    """

    requested: bool = False
    deadline: float | None = None
    leaving: bool = False
    signal: int = 0

    def check(self) -> bool:
        """True when the deadline has passed.

        Raises:
            Interrupted: a stop was requested.
        """
        if self.requested:
            raise Interrupted("interrupted")
        return self.deadline is not None and monotonic() >= self.deadline
