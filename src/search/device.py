"""LightGBM's devices: the CPU, or a GPU by OpenCL.

LightGBM (4.7) computes the histograms on the GPU and everything else on the CPU. What it needs there:

- A group of features has at most 256 bins, one of which may be added to those of its features: `max_bin` is at most
  255. Feature bundling counts some bins wrongly for OpenCL, so that a bundle may have more, with any `max_bin`, and the
  trial fails with "bin size 257 cannot run on GPU"; it is therefore off.
- A category has a bin per level, as many as 99 % of the rows need, whatever `max_bin` is: more levels are refused.
- Sums in double precision, `gpu_use_dp`. After 40 rounds on 36,000 rows (PoCL) predictions differed from the CPU's by
  at most 2e-9, and with LightGBM's default, 32-bit floats, by 9e-5, with a standard deviation of 1.6. With heavy tails
  (Student's t with 2 degrees of freedom) and an offset of 10,000 it was 6 and 153, with a standard deviation of 26.

Even so the order of the sums differs, so that a GPU gives other last digits than the CPU, and may do so in each run.
"""

import logging
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from src.config import DEVICES
from src.errors import ConfigError
from src.suggest import one_line

if TYPE_CHECKING:
    import lightgbm as lgb
    from optuna.trial import FrozenTrial

    from src.data.table import Dataset

log = logging.getLogger(__name__)

CPU, GPU = DEVICES
DEVICE_ATTR = "device"
"""User attribute of a trial, and tag of its run in MLflow: the device, unless it is the CPU."""
MAX_BINS = 255
MAX_LEVELS = MAX_BINS - 1
"""The first bin of a category is that of missing values."""
OPENCL: Mapping[str, Any] = {"device_type": GPU, "gpu_use_dp": True, "enable_bundle": False}
USING = "Using GPU Device: "


def usable_bins(max_bin: int, device: str) -> int:
    """The number of bins of a feature that is possible on the device."""
    return min(max_bin, MAX_BINS) if device == GPU else max_bin


def with_device(params: dict[str, Any], device: str) -> dict[str, Any]:
    """LightGBM's parameters, of a Dataset or of a booster, with those of the device."""
    if device == CPU:
        return params
    return {**params, **OPENCL, "max_bin": usable_bins(params.get("max_bin", MAX_BINS), device)}


def used_params(trial: "FrozenTrial") -> dict[str, Any]:
    """A trial's hyperparameters with the number of bins that it had, for fits on any device."""
    params = dict(trial.params)
    if "max_bin" in params:
        params["max_bin"] = usable_bins(params["max_bin"], trial.user_attrs.get(DEVICE_ATTR, CPU))
    return params


def for_any_machine(booster: "lgb.Booster", device: str) -> "lgb.Booster":
    """A model that needs no GPU, not even for `refit` or more rounds: both use the parameters in its text.

    A copy also frees the memory of the GPU.
    """
    if device == CPU:
        return booster
    import lightgbm as lgb

    text = booster.model_to_string(num_iteration=-1)
    return lgb.Booster(model_str=text.replace(f"[device_type: {GPU}]", f"[device_type: {CPU}]"))


def check_levels(data: "Dataset") -> None:
    """Checks that OpenCL has enough bins for every category.

    Raises:
        ConfigError: a category has too many levels.
    """
    for name in data.categorical:
        n_levels = data.features[name].nunique()
        if n_levels > MAX_LEVELS:
            raise ConfigError(
                f"--device {GPU}: category {one_line(name, 80)!r} has {n_levels} levels, and OpenCL allows "
                f"{MAX_LEVELS}: merge rare levels, name the column under `drop` in --config, or use --device {CPU}"
            )


@cache
def opencl_device() -> str:
    """The OpenCL device that LightGBM uses, found by training one tree on it; asked once per process.

    That compiles the kernels, which LightGBM keeps in `~/.boost_compute`, so that trials find them there.

    Raises:
        ConfigError: LightGBM finds no device, or cannot use it.
    """
    import lightgbm as lgb
    import numpy as np

    messages = _Messages()
    lgb.register_logger(messages)
    rows = np.arange(2.0 * MAX_BINS)
    params = {**OPENCL, "objective": "regression", "num_leaves": 2, "num_threads": 1, "verbosity": 1}
    try:
        lgb.train(params, lgb.Dataset(rows[:, None], rows, params={"min_data_in_bin": 1}), 1)
    except lgb.basic.LightGBMError as error:
        raise ConfigError(f"--device {GPU}: {_explained(str(error))}, or use --device {CPU}") from error
    name = next((text.removeprefix(USING) for text in messages.texts if text.startswith(USING)), "unknown")
    log.info("LightGBM trains on the OpenCL device %s", name)
    return name


def _explained(error: str) -> str:
    if "No OpenCL device" in error:
        return (
            "no OpenCL device is found: install the GPU's driver with its OpenCL library and list that in a file "
            "/etc/OpenCL/vendors/NAME.icd (NVIDIA in a container: NVIDIA_DRIVER_CAPABILITIES=compute,utility, and a "
            "file with the line libnvidia-opencl.so.1)"
        )
    if "not enabled in this build" in error:
        return "this LightGBM was built without OpenCL: install the wheel for Linux or Windows from the package index"
    return f"LightGBM cannot train on the OpenCL device, in double precision: {one_line(error, 200)}; update its driver"


class _Messages:
    """LightGBM's logger in a process that uses a GPU: keeps what it says, and passes warnings on as LightGBM does."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def info(self, text: str) -> None:
        text = text.removeprefix("[LightGBM] [Info] ").strip()
        self.texts.append(text)
        log.debug("%s", text)

    def warning(self, text: str) -> None:
        warnings.warn(text, stacklevel=3)
