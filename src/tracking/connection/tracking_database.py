"""Is the database behind MLFLOW_TRACKING_URI there? Asked before MLflow is, which tries a dead one for minutes.

MLflow 3.17 calls a database that does not answer ten times, with pauses that double, and all of it twice: some 200
seconds before the results of a search are told. A few seconds are enough for a connection that was refused by chance;
a database that is away for longer is written to by a later pass.
"""

import time

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from src.tracking.connection.tracking_uri import DATABASE_SERVERS

ATTEMPTS, SECONDS_BETWEEN = 3, 2.0
CONNECT_SECONDS = {"psycopg2": 10}
"""By driver: how long a host that swallows every packet is waited for; other drivers keep their own time."""


def check_database_answers(uri: str) -> None:
    """Connects once to a database server; any other tracking URI is left alone.

    Raises:
        SQLAlchemyError: it is away, or does not let us in.
    """
    if uri.partition(":")[0].partition("+")[0] not in DATABASE_SERVERS:
        return
    url = make_url(uri)
    seconds = CONNECT_SECONDS.get(url.get_driver_name())
    known = {} if seconds is None or "connect_timeout" in url.query else {"connect_timeout": seconds}
    engine = create_engine(url, connect_args=known, poolclass=NullPool)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with engine.connect():
                return
        except OperationalError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(SECONDS_BETWEEN)
