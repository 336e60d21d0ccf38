"""All commands under encodings that lack many characters: no command fails because of a character."""

import os
import subprocess
import sys
from itertools import cycle
from pathlib import Path

from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
CONFIG = "targets:\n  größe: {task: regression}\n"
LIFE = [
    "src.modeling.train_with_optuna --study-name zuerst --ensemble-size 1 --n-trials 1",
    "src.modeling.optuna_parallel_optimization --max-workers 2 --study-name größer --seed 7 --n-trials 1",
    "src.modeling.optuna_visualization --ensemble zuerst größer",
    "src.serving.predict --target größe --output größe.csv",
    "src.tracking.promote",
]
ENCODINGS = ("ascii", "latin-1", "ascii")


def test_the_whole_life_cycle_of_a_model(tmp_path: Path) -> None:
    table = small_table(n_accounts=5).rename(columns={"net_profit": "größe"})
    table.drop(columns=["gross_profit", "num_trades"]).to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "table.yaml").write_text(CONFIG, encoding="utf-8")
    settings = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    for line, encoding in zip(LIFE, cycle(ENCODINGS), strict=False):
        module, *options = line.split()
        if "visualization" not in module:
            options += ["--data", "table.csv", "--config", "table.yaml"]
        command, environ = [sys.executable, "-m", module, *options], settings | {"PYTHONIOENCODING": encoding}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, check=False)
        out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
        assert done.returncode == 0, err
        assert "Error" not in err
        if "train_with" in module:
            assert " ... " in out, "the summary's interval"
    assert (tmp_path / "größe.csv").exists()
    assert (tmp_path / "artefacts/reports/größer/report.html").exists()
