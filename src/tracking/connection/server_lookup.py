"""Queries an MLflow server by its REST API, without importing MLflow's client, which takes seconds."""

import base64
import configparser
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from src.errors import ConfigError
from src.secrets import mask_url, scrub
from src.suggest import one_line
from src.tracking.connection.destination import Experiment, FoundRun, NoAnswer

SECONDS = 5.0
USERNAME, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
CA_FILE, CLIENT_FILE = "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"
INSECURE, WORKSPACE = "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_WORKSPACE"
_PLUGIN_VARIABLES = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")
_PLUGIN_GROUPS = ("mlflow.request_header_provider", "mlflow.request_auth_provider")
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
_SYSTEM_MESSAGE = re.compile(r"\[(?:Errno|SSL)[^'\")]*")
_BAD_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "HTTP_REQUEST")


class Forbidden(ConfigError):
    """The server accepts the credentials but denies access to this object."""


class ServerLookup:
    """Reads a tracking server; see `destination.Lookup`.

    Args:
        uri: `http://…` or `https://…`.
        environ: environment variables with the credentials, read as MLflow's client does.
    """

    def __init__(self, uri: str, environ: Mapping[str, str]) -> None:
        self._uri, self._environ = uri, environ
        self.shown = mask_url(uri)[:150]

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The experiment with this id."""
        return _experiment(self._get("experiments/get", experiment_id=experiment_id))

    def experiment_named(self, name: str) -> Experiment | None:
        """The experiment with this name."""
        return _experiment(self._get("experiments/get-by-name", experiment_name=name))

    def run(self, run_id: str) -> FoundRun | None:
        """The run with this id."""
        found = self._get("runs/get", run_id=run_id)
        if found is None:
            return None
        info = found["run"]["info"]
        return FoundRun(str(info["experiment_id"]), info["lifecycle_stage"] == "active")

    def _get(self, endpoint: str, **query: str) -> dict[str, Any] | None:
        """The answer; None if the server has no such object.

        Raises:
            ConfigError: it rejects the credentials, or is not an MLflow server.
            Forbidden: it denies access to this object.
            NoAnswer: it is unavailable, or has an internal error.
        """
        response = self._response(endpoint, query)
        if response.status_code in (401, 403):
            raise (Forbidden if response.status_code == 403 else ConfigError)(self._refusal(response))
        if response.status_code >= 500 or response.status_code in (408, 425, 429):
            raise NoAnswer(f"it answers with status {response.status_code}")
        found = _json(response)
        if response.status_code == 200 and endpoint.partition("s/")[0] in found:
            return found
        if found.get("error_code") in _ABSENT:
            return None
        if "error_code" in found:
            raise NoAnswer(one_line(found.get("message", found["error_code"]), 120))
        raise ConfigError(
            f"MLFLOW_TRACKING_URI {self.shown!r} answers, but is not an MLflow server (status "
            f"{response.status_code}): correct host, port, path, and http or https"
        )

    def _response(self, endpoint: str, query: dict[str, str]) -> Any:
        import requests

        url = f"{self._uri.rstrip('/')}/api/2.0/mlflow/{endpoint}"
        insecure = self._environ.get(INSECURE, "").lower() in ("1", "true")
        verify, cert = not insecure and (self._environ.get(CA_FILE) or True), self._environ.get(CLIENT_FILE) or None
        try:
            return requests.get(url, query, headers=self._headers(), timeout=SECONDS, verify=verify, cert=cert)
        except requests.exceptions.SSLError as error:
            if not any(word in str(error) for word in _BAD_TLS):
                raise NoAnswer(self._system_message(error)) from error
            raise ConfigError(
                f"MLFLOW_TRACKING_URI {self.shown!r}: no secure connection ({self._system_message(error)}): set the "
                f"path of the server's certificate in {CA_FILE}, or use http://"
            ) from error
        except requests.exceptions.InvalidHeader:  # its text has the credentials, so it is not shown
            raise ConfigError(f"{USERNAME}, {PASSWORD} or {TOKEN} contains a line break: remove it") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise ConfigError(f"MLFLOW_TRACKING_URI {self.shown!r} is not a URL: write http://host:port") from error
        except requests.exceptions.RequestException as error:  # from the network: refused, reset, too slow
            raise NoAnswer(self._system_message(error)) from error
        except OSError as error:  # requests raises it if the certificate file is missing
            names = [path for path in (verify, cert) if isinstance(path, str)]
            raise ConfigError(f"{CA_FILE} or {CLIENT_FILE} cannot be read: correct {' or '.join(names)}") from error

    def _system_message(self, error: Exception) -> str:
        """The system's error message, without the names of the Python classes around it."""
        found = _SYSTEM_MESSAGE.search(str(error))
        return one_line(scrub(found[0], self._uri), 120) if found else type(error).__name__

    def _headers(self) -> dict[str, str]:
        user, password = self._basic()
        workspace = self._environ.get(WORKSPACE, "").strip()
        headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
        if user and password:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        elif self._environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {self._environ[TOKEN]}"
        return headers

    def _basic(self) -> tuple[str, str]:
        """User and password from the environment, else from MLflow's credentials file of the user."""
        config = _read_ini(Path("~/.mlflow/credentials").expanduser())
        stored = dict(config.items("mlflow")) if config.has_section("mlflow") else {}
        user, password = (self._environ.get(name) or stored.get(name.lower(), "") for name in (USERNAME, PASSWORD))
        return user, password

    def _refusal(self, response: Any) -> str:
        """The message for a refused request, with the variables to correct."""
        user, password = self._basic()
        status, answer = response.status_code, one_line(response.text, 120)
        if user and password:
            return (
                f"{self.shown} refuses {USERNAME} {user[:60]!r} with this {PASSWORD} ({status}, {answer}): correct them"
            )
        if self._environ.get(TOKEN):
            return f"{self.shown} refuses {TOKEN} ({status}, {answer}): set a valid token"
        if mask_url(self._uri) != self._uri:
            return (
                f"{self.shown} refuses the user or password in MLFLOW_TRACKING_URI ({status}, {answer}): correct them"
            )
        missing = f"set {USERNAME} and {PASSWORD}, or {TOKEN}"
        return f"{self.shown} requires a login ({status}, {answer}): {missing}"


def needs_mlflow_client(environ: Mapping[str, str]) -> bool:
    """Whether an MLflow plug-in adds credentials, so that only MLflow's client can access the server."""
    chosen = any(environ.get(name, "").lower() not in ("", "0", "false") for name in _PLUGIN_VARIABLES)
    return chosen or any(entry_points(group=group) for group in _PLUGIN_GROUPS)


def refuse_databricks_without_credentials(uri: str, environ: Mapping[str, str]) -> None:
    """Refuses `databricks` if no source of credentials of its client is set; no server is contacted.

    Raises:
        ConfigError: names the variables.
    """
    remedy = "set DATABRICKS_HOST and DATABRICKS_TOKEN"
    path = Path(environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg").expanduser()
    profile = uri.partition("://")[2].partition(":")[0]
    if profile:
        config = _read_ini(path)
        if profile not in (*config.sections(), config.default_section):
            raise ConfigError(f"MLFLOW_TRACKING_URI {uri!r}: {path} has no profile {profile!r}: add it, or {remedy}")
        return
    if any(name.startswith(("DATABRICKS_", "ARM_")) and value for name, value in environ.items()) or path.exists():
        return
    raise ConfigError(f"MLFLOW_TRACKING_URI {uri!r} has no credentials: {remedy}, or write {path}")


def _json(response: Any) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:  # for example an HTML page
        return {}
    return found if isinstance(found, dict) else {}


def _read_ini(path: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(path)
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read ({one_line(error, 150)}): correct or remove it") from error
    return config


def _experiment(found: dict[str, Any] | None) -> Experiment | None:
    if found is None:
        return None
    experiment = found["experiment"]
    active = experiment.get("lifecycle_stage", "active") == "active"
    return Experiment(
        str(experiment["experiment_id"]), experiment["name"], active, experiment.get("artifact_location", "")
    )
