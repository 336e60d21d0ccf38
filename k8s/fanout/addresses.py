"""Where MLflow answers: the address that pods know it by, and what a person has to do to open the same pages."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from k8s.fanout.rendering import Documents

LOCAL_PORT = 5000


@dataclass(frozen=True)
class Mlflow:
    """MLflow's server.

    Attributes:
        address: by which pods call it.
        service: its Service in the cluster; None for a server elsewhere, which the address opens for everybody.
        port: of the Service.
    """

    address: str
    service: str | None
    port: int

    def for_a_browser(self, text: str) -> str:
        """The text with addresses that this machine can open while the port is forwarded."""
        return text if self.service is None else text.replace(self.address, f"http://localhost:{LOCAL_PORT}")

    def forward(self, kubectl: str, namespace: str) -> str | None:
        """The command without which the addresses do not answer; None where there is none to give."""
        if self.service is None:
            return None
        return f"{kubectl} -n {namespace} port-forward service/{self.service} {LOCAL_PORT}:{self.port}"


def mlflow_of(services: Documents) -> Mlflow:
    """The server that an overlay's ConfigMap `stores` names."""
    stores = next(found for found in services if found["kind"] == "ConfigMap" and found["metadata"]["name"] == "stores")
    address = str(stores["data"]["MLFLOW_TRACKING_URI"]).rstrip("/")
    parts = urlsplit(address)
    names = {found["metadata"]["name"] for found in services if found["kind"] == "Service"}
    host = parts.hostname or ""
    name = host.partition(".")[0] if ".svc" in host else host
    return Mlflow(address, name if name in names else None, parts.port or 80)
