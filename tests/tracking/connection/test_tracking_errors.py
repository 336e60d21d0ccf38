import sys

import pytest
from botocore.exceptions import EndpointConnectionError
from sqlalchemy.exc import OperationalError

from src.errors import TrackingError
from src.tracking.connection.tracking_errors import tracking_errors


@pytest.mark.parametrize(
    "error",
    [
        OSError("refused"),
        EndpointConnectionError(endpoint_url="http://refused"),
        OperationalError("refused", {}, OSError("refused")),
    ],
)
def test_errors_of_the_clients_are_one_line(error: Exception) -> None:
    message = r"cannot read a run: .*refused.*check MLFLOW_TRACKING_URI"
    with pytest.raises(TrackingError, match=message), tracking_errors("read a run"):
        raise error


def test_packages_that_a_server_lacks_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("boto3", "boto3.exceptions", "botocore", "botocore.exceptions", "sqlalchemy", "sqlalchemy.exc"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TrackingError, match="cannot read a run: refused"), tracking_errors("read a run"):
        raise OSError("refused")


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), tracking_errors("read a run"):
        raise KeyError("x")
