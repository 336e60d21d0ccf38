"""The Dockerfiles: one Python, locked wheels, no root, no secret, and commands that exist. No engine is needed."""

import fnmatch
import re
from pathlib import Path

import pytest
import yaml

from tests.command_lines import commands_in, mlflow_options_of, options_after, options_of, weed_options_of

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("tuner", "mlflow", "serving", "s3")
LOCKS = {"tuner": "requirements.lock"} | {name: f"docker/{name}.lock" for name in ("mlflow", "serving", "s3")}


def text_of(image: str) -> str:
    return (ROOT / "docker" / f"{image}.Dockerfile").read_text(encoding="utf-8")


def steps(image: str) -> list[tuple[str, str]]:
    """Instruction and arguments, continued lines joined, comments left out."""
    text = "\n".join(line for line in text_of(image).splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def final_stage(image: str) -> list[tuple[str, str]]:
    found = steps(image)
    return found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]


def test_every_dockerfile_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "docker").glob("*.Dockerfile")} == {f"{name}.Dockerfile" for name in IMAGES}


def test_the_tuner_lists_the_opencl_library_of_a_gpu_and_can_keep_its_kernels() -> None:
    runs = " ".join(rest for word, rest in final_stage("tuner") if word == "RUN")
    assert "echo libnvidia-opencl.so.1 > /etc/OpenCL/vendors/nvidia.icd" in runs
    settings = " ".join(rest for word, rest in final_stage("tuner") if word == "ENV")
    assert "HOME=/tmp" in settings.split(), "which a pod can write, for ~/.boost_compute"


@pytest.mark.parametrize("image", IMAGES)
class TestImage:
    def test_all_stages_start_from_the_python_of_conda_yaml(self, image: str) -> None:
        conda = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
        version = next(str(d) for d in conda["dependencies"] if str(d).startswith("python=")).removeprefix("python=")
        bases = {rest.partition(" ")[0] for word, rest in steps(image) if word == "FROM"}
        assert bases == {f"python:{version}-slim-bookworm"}

    def test_runs_as_a_numbered_user_without_rights(self, image: str) -> None:
        assert [rest for word, rest in final_stage(image) if word == "USER"] == ["10001:10001"]
        last_run = max(i for i, (word, _) in enumerate(final_stage(image)) if word == "RUN")
        assert last_run < [word for word, _ in final_stage(image)].index("USER")

    def test_final_stage_has_no_installer_of_packages(self, image: str) -> None:
        runs = " ".join(rest for word, rest in final_stage(image) if word == "RUN")
        assert not re.search(r"\b(pip|uv|gcc|build-essential|curl|wget)\b", runs)
        assert "apt-get" not in runs or "rm -rf /var/lib/apt/lists/*" in runs

    def test_holds_no_secret_and_names_no_registry(self, image: str) -> None:
        settings = " ".join(rest for word, rest in steps(image) if word in ("ENV", "ARG", "LABEL", "RUN"))
        assert not re.search(r"(PASSWORD|SECRET|TOKEN|KEY)\w*=", settings)
        assert not re.search(r"://[^/\s]*@", settings)
        assert not re.search(r"--index-url|--extra-index-url|--trusted-host|PIP_INDEX", text_of(image))
        assert "# syntax=" not in text_of(image)

    def test_copies_only_what_the_context_holds(self, image: str) -> None:
        for word, rest in steps(image):
            if word == "COPY" and not rest.startswith("--from="):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert in_context(source), f"{source} is kept out by .dockerignore"

    @pytest.mark.slow
    def test_every_option_exists_in_the_command_it_is_given_to(self, image: str) -> None:
        for command in commands_in(text_of(image)):
            assert command.options <= options_of(command.module)
        assert options_after(text_of(image), "mlflow", "server") <= mlflow_options_of("server")
        assert options_after(text_of(image), "weed", "mini") <= weed_options_of("mini")

    def test_whatever_listens_has_a_health_check(self, image: str) -> None:
        words = {word for word, _ in final_stage(image)}
        assert ("EXPOSE" in words) == ("HEALTHCHECK" in words)
        ports = [rest for word, rest in final_stage(image) if word == "EXPOSE"]
        checks = " ".join(rest for word, rest in final_stage(image) if word == "HEALTHCHECK")
        assert all(f"127.0.0.1:{port}/" in checks for port in ports)


def test_the_checks_look_at_real_commands() -> None:
    """Else a reading that finds nothing would find nothing wrong."""
    assert {command.module for command in commands_in(text_of("tuner"))} == {
        "src.modeling.optuna_parallel_optimization",
        "src.modeling.train_with_optuna",
    }
    assert [sorted(command.options) for command in commands_in(text_of("serving"))] == [
        ["--host", "--port"],
        ["--host", "--port", "--targets"],
    ]
    assert {"--host", "--port"} <= options_after(text_of("mlflow"), "mlflow", "server")
    assert {"-dir", "-s3.port"} <= options_after(text_of("s3"), "weed", "mini")


def test_clients_fetch_artifacts_through_the_server() -> None:
    """With an S3 store, MLflow 3.17 sends clients to it by default; only the client reads these variables."""
    from mlflow import environment_variables as known

    for image in ("tuner", "serving"):
        settings = next(rest for word, rest in final_stage(image) if word == "ENV")
        for variable in (known.MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD, known.MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD):
            assert f"{variable.name}=false" in settings


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a file into the build context; the last line that matches decides."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    parts = path.split("/")
    places = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    inside = True
    for line in lines:
        pattern = line.lstrip("!").removeprefix("**/")
        if line and not line.startswith("#"):
            names = parts if "**/" in line else places
            if any(fnmatch.fnmatchcase(name, pattern) and pattern.count("/") == name.count("/") for name in names):
                inside = line.startswith("!")
    return inside


@pytest.mark.parametrize(
    "path",
    [
        ".env", "docker/.env", ".git/config", ".venv/bin/python", "mlflow.db", "mlruns/1/meta.yaml", "tests/x.py",
        "artefacts/models/lgb_net_profit_optuna_v1.txt", "src/__pycache__/cli.cpython-311.pyc",
        "src/data/__pycache__/table.cpython-311.pyc", "k8s/base/work.yaml", "docker/compose.yaml",
    ],
)  # fmt: skip
def test_what_no_image_needs_stays_out_of_the_context(path: str) -> None:
    assert not in_context(path)


@pytest.mark.parametrize("path", ["src/cli.py", "src/data/sample/prices.csv.gz", "requirements.lock", "LICENSE"])
def test_what_the_tuner_needs_is_in_the_context(path: str) -> None:
    assert in_context(path)
