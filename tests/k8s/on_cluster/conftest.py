from collections.abc import Iterator

import pytest

from tests.k8s.on_cluster.real_cluster import NAMESPACE, RealCluster, Started


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A cluster without this project's objects; what the checks create is deleted at the end."""
    found = RealCluster(tmp_path_factory.mktemp("cluster"))
    if found.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name"):
        pytest.exit(
            f"namespace {NAMESPACE} exists in this cluster: these checks make and delete it, use another cluster"
        )
    yield found
    done = found.fanout("down", ALL=1, VOLUMES=1)
    assert done.status == 0, done.text
    found.kubectl("delete", "-k", "k8s/namespace", "--ignore-not-found")


@pytest.fixture
def started(cluster: RealCluster) -> Iterator[list[Started]]:
    """Commands that a check has started; those that still run at its end are killed."""
    commands: list[Started] = []
    yield commands
    for command in commands:
        command.process.kill()
        command.process.wait()
