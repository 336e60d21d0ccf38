"""Writes the final model to the parent run: parameters, scores, the data set, the files.

Scores, `best_iteration` and the description belong to the registered model. The params `best_trial_*` and the tags
`best_trial` and `best_trial_params` belong to the best trial, which may be one of several members of an ensemble.

A resumed command may write everything again. MLflow params are immutable: they are written once; tags and the run's
description are always updated.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from src.tracking.connection.session import TrackingSession, now_ms
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.projection.parent_run import REPORT_FOLDER
from src.tracking.projection.study_projection import PAGE
from src.tracking.projection.trial_run import TRIAL_NUMBER

log = logging.getLogger(__name__)

NOTE_TAG = "mlflow.note.content"
SCHEMA_ROWS = 1000
BEST_PARAM_PREFIX = "best_trial_"
FRONT_TAG = "optuna.is_on_pareto_front"
MAX_TAGGED = 500
"""Trials of the front in the parent's tag."""


def log_final_scores(session: TrackingSession, parent_id: str, metadata: Mapping[str, Any]) -> None:
    """Writes the best trial's parameters and the registered model's scores, baselines and skill to the parent run.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    with tracking_errors("write the final scores"):
        best = metadata["best_trial"]
        _log_best_params(session.client, parent_id, best["hyperparameters"])
        time = now_ms()
        metrics = [Metric(name, value, time, 0) for name, value in final_metrics(metadata).items()]
        tags = [
            RunTag("best_trial", str(best["number"])),
            RunTag("best_trial_params", json.dumps(best["hyperparameters"], sort_keys=True)),
            RunTag("target", str(metadata["target"])),
            *choice_tags(metadata),
            RunTag(NOTE_TAG, describe(metadata)),
        ]
        session.client.log_batch(parent_id, metrics=metrics, tags=tags)


def choice_tags(metadata: Mapping[str, Any]) -> list[RunTag]:
    """Tags of the parent run on the choice of the registered model; each is at most 5,000 characters long."""
    trials = [member["trial"] for member in metadata.get("members", [])] or [metadata.get("trial", "")]
    return [
        RunTag("select", str(metadata.get("select", ""))),
        RunTag("constraint", ", ".join(metadata.get("constraint", []))),
        RunTag("registered_trials", ", ".join(map(str, trials))),
        RunTag("pareto_front", ", ".join(map(str, metadata.get("pareto_front", [])[:MAX_TAGGED]))),
    ]


def tag_front(session: TrackingSession, parent_id: str, front: Collection[int]) -> None:
    """Tags the trial runs of the Pareto front, and those that an earlier command tagged as no longer on it.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    with tracking_errors("tag the trials of the Pareto front"):
        experiment, token = session.client.get_run(parent_id).info.experiment_id, None
        children = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'"
        while True:
            page = session.client.search_runs([experiment], children, max_results=PAGE, page_token=token)
            for run in page:
                is_on_front = int(run.data.tags.get(TRIAL_NUMBER, -1)) in front
                if is_on_front or FRONT_TAG in run.data.tags:
                    session.client.set_tag(run.info.run_id, FRONT_TAG, str(is_on_front).lower())
            token = page.token
            if not token:
                return


def _log_best_params(client: MlflowClient, parent_id: str, hyperparameters: Mapping[str, Any]) -> None:
    present = client.get_run(parent_id).data.params
    new = {f"{BEST_PARAM_PREFIX}{name}": str(value) for name, value in hyperparameters.items()}
    before = {name: value for name, value in present.items() if name.startswith(BEST_PARAM_PREFIX)}
    if before and before != new:
        log.warning(
            "the study has a new best trial: MLflow params cannot change, so the run's %s* params remain those of the "
            "former one; see the tag best_trial_params for the new ones", BEST_PARAM_PREFIX,
        )  # fmt: skip
        return
    client.log_batch(parent_id, params=[Param(name, value) for name, value in new.items() if name not in present])


def final_metrics(metadata: Mapping[str, Any]) -> dict[str, float]:
    """The registered model's metrics on the parent run; undefined metrics (e.g. without hold-out) are omitted."""
    values: dict[str, Any] = {
        "test_score": metadata["test_score"],
        "validation_score": metadata["validation_score"],
        "skill": metadata["skill"],
        "validation_skill": metadata["validation_skill"],
        "best_iteration": metadata["best_iteration"],
        "training_samples": metadata["training_samples"],
        "test_samples": metadata["test_samples"],
    }
    if metadata["test_interval"] is not None:
        values["test_score_low"], values["test_score_high"] = metadata["test_interval"]
    if metadata["skill_interval"] is not None:
        values["skill_low"], values["skill_high"] = metadata["skill_interval"]
    values |= {f"baseline_{name}": value for name, value in metadata["baselines"].items()}
    values |= {f"validation_baseline_{name}": value for name, value in metadata["validation_baselines"].items()}
    return {name: float(value) for name, value in values.items() if value is not None and np.isfinite(value)}


def describe(metadata: Mapping[str, Any]) -> str:
    """The run's description in the MLflow UI, Markdown: the registered model's scores, the best trial's parameters."""
    best, members = metadata["best_trial"], metadata.get("members", [])
    composition = (
        f"the weighted mean of {len(members)} trials" if members else f"trial {metadata.get('trial', best['number'])}"
    )
    lines = [
        f"**{metadata['target']}** ({metadata['task']}, {metadata['metric']}), study `{metadata['study_name']}`, "
        f"{metadata['n_trials']} trials. The registered model is {composition}.",
    ]
    if members:
        lines += ["", "| member: trial | weight | validation score | rounds |", "|---|---|---|---|"]
        lines += [f"| {m['trial']} | {m['weight']:.3g} | {m['value']:.6g} | {m['rounds']} |" for m in members]
    lines += ["", "| the registered model | value |", "|---|---|"]
    lines += [f"| {name} | {value:.6g} |" for name, value in final_metrics(metadata).items()]
    lines += ["", f"| the best trial alone, {best['number']} | value |", "|---|---|"]
    alone = {"validation_score": best["value"], "best_iteration": best["best_iteration"], **best["hyperparameters"]}
    lines += [f"| {name} | {value} |" for name, value in alone.items()]
    return "\n".join(lines)


def log_dataset(
    session: TrackingSession, parent_id: str, frame: pd.DataFrame, target: str, source: str, digest: str
) -> None:
    """Logs the table as the parent run's dataset input, once per digest.

    Args:
        session: connection to MLflow.
        parent_id: id of the parent run.
        frame: features and target, one row per account and day.
        target: name of the target column.
        source: where the table came from, without passwords.
        digest: digest of the whole content; MLflow's own covers the first 10,000 rows only.
    """
    with tracking_errors("write the data set"):
        inputs = session.client.get_run(parent_id).inputs
        if inputs is not None and digest in {item.dataset.digest for item in inputs.dataset_inputs}:
            return
        entity = _dataset_entity(frame, target, source, digest)
        tags = [InputTag("mlflow.data.context", "training")]
        session.client.log_inputs(parent_id, datasets=[DatasetInput(entity, tags)])


def _dataset_entity(frame: pd.DataFrame, target: str, source: str, digest: str) -> Dataset:
    """The MLflow dataset of a table: schema of 1,000 evenly spaced rows, counts of the whole table."""
    part = frame.iloc[:: max(1, len(frame) // SCHEMA_ROWS)]
    # Integers as floats: MLflow warns about integer columns, because they cannot hold missing values.
    part = part.astype({name: "float64" for name in part.columns if pd.api.types.is_integer_dtype(part[name])})
    name = source.rsplit("/", 1)[-1][:200] or "table"
    code = CodeDatasetSource({"daily_profit.source": source})
    entity = PandasDataset(part, source=code, targets=target, name=name, digest=digest)._to_mlflow_entity()
    profile = json.dumps({"num_rows": len(frame), "num_elements": int(frame.size)})
    return Dataset(name, digest, entity.source_type, entity.source, entity.schema, profile)


def report_page(session: TrackingSession, parent_id: str) -> str:
    """The path of the MLflow page that shows the parent run's report, to append to the server's address.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    with tracking_errors(f"read run {parent_id}"):
        experiment = session.client.get_run(parent_id).info.experiment_id
    return f"#/experiments/{experiment}/runs/{parent_id}/artifacts/{REPORT_FOLDER}/report.html"


def log_files(session: TrackingSession, parent_id: str, files: Sequence[tuple[str, Path]]) -> None:
    """Uploads files to the parent run: pairs of (artifact folder, local file); "" is the root folder."""
    with tracking_errors("upload files"):
        for folder, path in files:
            session.client.log_artifact(parent_id, str(path), folder or None)
