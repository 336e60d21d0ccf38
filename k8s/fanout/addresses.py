"""MLflow's address for pods, and how to open MLflow from this machine."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from k8s.fanout.rendering import Documents

LOCAL_PORT = 5000


@dataclass(frozen=True)
class Mlflow:
    """MLflow's server.

    Attributes:
        address: URL that pods use.
        service: its Service in the cluster; None for a server outside, whose address works everywhere.
        port: of the Service.
    """

    address: str
    service: str | None
    port: int

    def with_local_address(self, text: str) -> str:
        """The text with MLflow's address replaced by the local address of the port-forward."""
        return text if self.service is None else text.replace(self.address, f"http://localhost:{LOCAL_PORT}")

    def forward(self, kubectl: str, namespace: str) -> str | None:
        """The port-forward command that the local address needs; None for a server outside the cluster."""
        if self.service is None:
            return None
        return f"{kubectl} -n {namespace} port-forward service/{self.service} {LOCAL_PORT}:{self.port}"


def mlflow_server(services: Documents) -> Mlflow:
    """The MLflow server in an overlay's ConfigMap `stores`."""
    stores = next(
        document
        for document in services
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == "stores"
    )
    address = str(stores["data"]["MLFLOW_TRACKING_URI"]).rstrip("/")
    parts = urlsplit(address)
    names = {document["metadata"]["name"] for document in services if document["kind"] == "Service"}
    host = parts.hostname or ""
    name = host.partition(".")[0] if ".svc" in host else host
    return Mlflow(address, name if name in names else None, parts.port or 80)
