"""Checks that the database of MLFLOW_TRACKING_URI answers, before MLflow retries a dead one for minutes.

MLflow 3.17 tries a database that does not answer ten times, with doubling pauses, and all of it twice: some 200 seconds
before the results of a search are shown. A few seconds are enough for a transient refusal; after a longer outage a
later pass writes the runs.
"""

import time

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from src.tracking.connection.tracking_uri import DATABASE_SERVERS

ATTEMPTS, SECONDS_BETWEEN = 3, 2.0
CONNECT_SECONDS = {"psycopg2": 10}
"""Connect timeout by driver, for a host that drops all packets; other drivers use their own default."""


def check_database_answers(uri: str) -> None:
    """Connects once to a database server; does nothing for any other tracking URI.

    Raises:
        SQLAlchemyError: it is unavailable, or rejects the credentials.
    """
    if uri.partition(":")[0].partition("+")[0] not in DATABASE_SERVERS:
        return
    url = make_url(uri)
    seconds = CONNECT_SECONDS.get(url.get_driver_name())
    arguments = {} if seconds is None or "connect_timeout" in url.query else {"connect_timeout": seconds}
    engine = create_engine(url, connect_args=arguments, poolclass=NullPool)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with engine.connect():
                return
        except OperationalError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(SECONDS_BETWEEN)
