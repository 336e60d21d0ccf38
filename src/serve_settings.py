"""Settings of `serve`."""

from dataclasses import dataclass
from pathlib import Path

from src.config import LOG_TABLE
from src.errors import ConfigError


@dataclass(frozen=True)
class ServeSettings:
    """Settings of `serve`; `src/options.py` explains them.

    Raises:
        ConfigError: a value is out of range.
    """

    alias: str = "champion"
    shadow: str | None = None
    host: str = "127.0.0.1"
    port: int = 5001
    poll_seconds: float = 10.0
    max_request_mb: float = 32.0
    max_rows: int = 100_000
    token_file: Path | None = None
    log_predictions: str | None = None
    log_table: str = LOG_TABLE

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port {self.port} is out of range: use 1 to 65535, or 0 for any free port")
        for option, value in (
            ("--poll-seconds", self.poll_seconds),
            ("--max-request-mb", self.max_request_mb),
            ("--max-rows", self.max_rows),
        ):
            if not value > 0:
                raise ConfigError(f"{option} {value} is not positive: use more than 0")
        if self.shadow == self.alias:
            raise ConfigError(f"--shadow {self.shadow} is the alias that answers: give another one")
