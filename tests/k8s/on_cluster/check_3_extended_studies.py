"""A study that is extended: the finish waits for the new total or the new time, and chooses from all trials."""

import re

from tests.k8s.on_cluster.real_cluster import RealCluster


def test_a_study_is_extended_from_30_to_60_trials(cluster: RealCluster) -> None:
    for n_trials in (30, 60):
        done = cluster.run("longer", TARGET="is_profitable", WORKERS=3, N_TRIALS=n_trials)
        assert cluster.trials("longer").total() == cluster.finished("longer") == n_trials
        assert re.search(rf"longer: \d+ of {n_trials} trials are finished", done)
        with cluster.mlflow() as mlflow:
            versions = mlflow.versions("is_profitable", "longer")
            assert len(versions) == {30: 1, 60: 2}[n_trials]
            assert mlflow.trial_numbers("longer") == dict.fromkeys(range(n_trials), 1)
        cluster.clear("longer")


def test_a_timeout_is_extended(cluster: RealCluster) -> None:
    counts = []
    for seconds in (30, 60):
        done = cluster.run("time", TARGET="net_profit", WORKERS=2, N_TRIALS=5000, TIMEOUT=seconds)
        found = cluster.trials("time")
        assert found["RUNNING"] == 0
        counts.append(cluster.finished("time"))
        counts = re.findall(r"(\d+) of 5000 trials are finished", done)
        assert counts, done
        with cluster.mlflow() as mlflow:
            assert mlflow.trial_numbers("time").total() == counts[-1]
            assert len(mlflow.versions("net_profit", "time")) == len(counts)
        cluster.clear("time")
    assert 0 < counts[0] < counts[1]
