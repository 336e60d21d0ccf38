"""OpenCL on the CPU by PoCL, so that `--device gpu` runs without a GPU. Its speed says nothing about a GPU's."""

import importlib.metadata
from pathlib import Path

import pytest

PACKAGE = "pocl-binary-distribution"
NO_OPENCL = {"OCL_ICD_VENDORS": "/nonexistent"}
"""In this environment the OpenCL loader finds no device, on any machine."""
INSTALLED = Path("/etc/OpenCL/vendors/pocl.icd")
"""Of Debian's package `pocl-opencl-icd`, for other processors than x86-64."""


def opencl_environment(folder: Path) -> dict[str, str]:
    """The environment in which LightGBM finds PoCL and no other device; skips the test on a machine without PoCL.

    Args:
        folder: for compiled kernels, which LightGBM keeps in the home folder, and PoCL in one of its own.
    """
    vendors, home = folder / "vendors", folder / "home"
    for each in (vendors, home):
        each.mkdir(exist_ok=True)
    (vendors / "pocl.icd").write_text(f"{_library()}\n", encoding="utf-8")
    return {
        "OCL_ICD_VENDORS": str(vendors),
        "HOME": str(home),
        "POCL_CACHE_DIR": str(folder / "kernels"),
        "POCL_MAX_PTHREAD_COUNT": "1",
        "POCL_EXTRA_BUILD_FLAGS": "-cl-opt-disable",  # 33 kernels compile in 12 s instead of 60
    }


def _library() -> str:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        if INSTALLED.exists():
            return INSTALLED.read_text(encoding="utf-8").strip()
        pytest.skip(f"no PoCL: install {PACKAGE}, or pocl-opencl-icd of Debian")
    return next(str(file.locate()) for file in files if file.name.startswith("libpocl") and file.suffix == ".so")
