from pathlib import Path

import pytest

from k8s.fanout import following, readiness
from tests.k8s.cluster import FakeCluster


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A fake cluster, without waiting times."""
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(following, "LOST_POLLS", 3)
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.0)
    return FakeCluster(tmp_path)
