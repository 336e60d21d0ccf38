"""The house rules that no linter knows: the flow of imports, sizes, and what no file may hold."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

RANKING = (
    ".",
    "data/sample",
    "data/sources",
    "data",
    "features",
    "evaluation",
    "table_check",
    "monitoring",
    "study",
    "search",
    "workers",
    "final",
    "tracking/connection",
    "tracking/projection",
    "tracking/registry",
    "tracking",
    "serving/prediction_log",
    "serving/online",
    "serving",
    "reporting/document",
    "reporting/html",
    "reporting/pdf",
    "reporting/model",
    "reporting/study",
    "reporting/comparison",
    "reporting",
    "modeling",
)
"""The folders of src, itself first: a module imports only from its own folder and from those before it."""

FEATURES = ROOT / "src/features"
"""A copy of it travels with registered models and is loaded under another name: its modules import relatively."""
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported_names(path: Path) -> set[str]:
    """Everything that a file imports anywhere, inside functions and for type checking too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= (path.parent == FEATURES), f"{path.name} imports relatively: write the full name"
            module = f"src.features.{node.module}" if node.level else str(node.module)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


MODULES = {module_name(path): path for path in SOURCES if path.name != "__init__.py"}
GRAPH = {name: imported_names(path) & MODULES.keys() for name, path in MODULES.items()}
EXTERNAL = {name: {i.partition(".")[0] for i in imported_names(path)} for name, path in MODULES.items()}


def tracked_files() -> list[Path]:
    """The files of the repository, those not yet added too, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so that nothing says which files belong to it")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def folder_of(module: str) -> str:
    """`data/sources` for `src.data.sources.files`; `.` for a module of src itself."""
    return "/".join(module.split(".")[1:-1]) or "."


def test_every_folder_is_ranked() -> None:
    unknown = sorted({folder_of(name) for name in MODULES} - set(RANKING))
    assert not unknown, f"{unknown} missing in RANKING of tests/test_house.py: add them after all that they import"


def test_a_folder_imports_only_from_those_before_it() -> None:
    rank = {folder: i for i, folder in enumerate(RANKING)}
    wrong = [
        f"{name} imports {needed}: {folder_of(needed)} stands after {folder_of(name)} in RANKING"
        for name, needs in GRAPH.items()
        for needed in needs
        if rank[folder_of(needed)] > rank[folder_of(name)]
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_import_cycle() -> None:
    """Not even one that an import inside a function hides."""
    assert set(TopologicalSorter(GRAPH).static_order()) == GRAPH.keys()


def test_mlflow_is_imported_only_in_tracking_and_serving() -> None:
    users = {name for name in MODULES if "mlflow" in EXTERNAL[name]}
    assert not [name for name in users if not name.startswith(("src.tracking.", "src.serving."))]


def test_optuna_is_never_imported_where_data_is_read_or_models_are_served() -> None:
    users = {name for name in MODULES if "optuna" in EXTERNAL[name]}
    folders = ("data", "features", "evaluation", "table_check", "monitoring", "serving", "tracking.registry")
    without = tuple(f"src.{folder}." for folder in folders)
    assert not [name for name in users if name.startswith(without)]


OPTUNA_ATTRIBUTES = {"_study_id", "_trial_id", "_storage", "_datetime_start_utc", "_datetime_complete_utc"}


def private_names_of_optuna(path: Path) -> Iterator[str]:
    """What a file imports of Optuna that begins with an underscore, and the private attributes that it reads."""
    for name in imported_names(path):
        if name.startswith("optuna.") and "._" in name:
            yield name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in OPTUNA_ATTRIBUTES:
            yield node.attr


def test_features_need_only_numpy_and_pandas() -> None:
    used = set().union(*(EXTERNAL[name] for name in MODULES if name.startswith("src.features.")))
    assert used - sys.stdlib_module_names == {"numpy", "pandas", "src"}
    absolute = [path.name for path in FEATURES.glob("*.py") if "from src" in path.read_text(encoding="utf-8")]
    assert not absolute, "another name of the package would not be followed"


def test_private_names_of_optuna_are_used_in_one_module() -> None:
    used = {name: sorted(private_names_of_optuna(path)) for name, path in MODULES.items()}
    users = {name: names for name, names in used.items() if names and not name.endswith(".optuna_internals")}
    assert not users, "use them by src/study/optuna_internals.py, and list them there"


def test_every_init_is_empty() -> None:
    assert not [str(path) for path in SOURCES if path.name == "__init__.py" and path.read_text()]


@pytest.mark.parametrize(("paths", "limit"), [(SOURCES, 300), (TESTS, 400)], ids=["src", "tests"])
def test_rooms_are_small(paths: list[Path], limit: int) -> None:
    sizes = {module_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert not {name: size for name, size in sizes.items() if size > limit}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_fit_on_a_screen() -> None:
    """At most 30 lines of body; a docstring does not count."""
    long = {}
    for path in SOURCES:
        for node in functions(path):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > 30:
                long[f"{module_name(path)}.{node.name}"] = lines
    assert not long


# Escaped dots, so that this file holds none of these names itself.
REGISTRY_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|conda\.anaconda\.org|repo\.anaconda\.com|docker\.io|ghcr\.io|quay\.io"
)
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [REGISTRY_HOSTS, UNFINISHED], ids=["registry hosts", "unfinished work"])
def test_no_file_holds(pattern: re.Pattern[str]) -> None:
    """Hosts of registries belong to each machine's own settings; unfinished work belongs to an issue."""
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" in content:  # no text, as git sees it too
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found, "\n".join(found)


def _asserts(node: ast.AST, helpers: set[str]) -> bool:
    """An assert, pytest's `raises` or `warns`, an `assert_…` of a library, or a helper that does one of them."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Call):
            called = inner.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in {"raises", "warns", "fail"} | helpers or name.startswith("assert_"):
                return True
    return False


def test_every_test_asserts() -> None:
    silent = []
    for path in TESTS:
        helpers: set[str] = set()
        nodes = list(functions(path))
        while found := {n.name for n in nodes if n.name not in helpers and _asserts(n, helpers)}:
            helpers |= found
        silent += [
            f"{module_name(path)}.{n.name}" for n in nodes if n.name.startswith("test") and n.name not in helpers
        ]
    assert not silent


HEAVY = "boto3 lightgbm matplotlib mlflow numpy optuna pandas plotly pyarrow scipy sklearn sqlalchemy typst"


COMMANDS = [
    "modeling.train_with_optuna",
    "modeling.optuna_parallel_optimization",
    "modeling.optuna_visualization",
    "tracking.lineage",
    "tracking.promote",
    "serving.predict",
    "modeling.check",
    "serving.serve",
    "modeling.monitor",
]


@pytest.mark.slow
@pytest.mark.parametrize("module", COMMANDS)
def test_help_loads_nothing_heavy(module: str) -> None:
    """So that `--help` and a mistyped option answer at once."""
    code = "import sys; from src.MODULE import build_parser; build_parser().format_help()"
    code = code.replace("MODULE", module)
    code += f"; sys.exit(' '.join(sorted(set('{HEAVY}'.split()) & set(sys.modules))) or 0)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
