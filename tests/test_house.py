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

FLOW = """
    suggest errors names secrets disk console file_lock config options
    config_file

    data.indicators data.accounts data.trading data.sample data.source_files data.source_s3 data.source_sql
    data.sources data.encoding data.written_numbers data.suspicious_texts data.values data.target data.columns data.keys
    data.table data.splits cli

    modeling.rows modeling.auto_folds modeling.search_space modeling.scoring modeling.baselines
    modeling.influence modeling.intervals
    modeling.dart modeling.boosting modeling.binned_folds modeling.brake modeling.threads
    modeling.validation_predictions modeling.ensemble_selection modeling.merged_model modeling.cpus
    modeling.shared_table modeling.shared_folds modeling.patience modeling.store_location modeling.store_lock
    modeling.worker_identity modeling.work_folder modeling.trial_times modeling.buffered_storage
    modeling.trial_owners modeling.study_storage modeling.sampler
    tracking.tracking_uri tracking.tracking_errors tracking.schema_revisions tracking.embedded_store
    tracking.earlier_models modeling.starting_points modeling.fixed_configs modeling.pruner
    modeling.optuna_utils modeling.objective modeling.trial_loop modeling.search_task
    modeling.earlier_searches modeling.progress modeling.fit_progress modeling.recipe modeling.run_token
    modeling.study_index modeling.stopping

    tracking.tracking_database tracking.destination tracking.session tracking.database_lookup tracking.server_lookup
    tracking.parent_run tracking.projection tracking.background tracking.projector_process tracking.served_model
    tracking.final_record tracking.registry tracking.registered_models

    modeling.preflight tracking.artifact_place tracking.tracking_check modeling.asked modeling.fork_server
    modeling.worker_process modeling.worker_pool modeling.search modeling.run_ending modeling.parallel_search
    modeling.final_model modeling.retrain modeling.member_rounds modeling.ensemble modeling.outputs

    reporting.plot reporting.blocks reporting.study_numbers reporting.words reporting.members
    reporting.model_numbers reporting.model_files reporting.hold_out reporting.model_bins reporting.model_curves
    reporting.model_data reporting.model_features reporting.model_groups reporting.model_measure
    reporting.model_plots reporting.model_words reporting.model_chapters reporting.palette reporting.plot_layout
    reporting.plotly_marks reporting.plotly_drawing reporting.page_style reporting.page_script reporting.html_blocks
    reporting.html_page reporting.pdf_text reporting.matplotlib_marks reporting.matplotlib_drawing
    reporting.pdf_flow reporting.pdf_tables reporting.pdf_blocks reporting.pdf_layout reporting.pdf_drawing
    reporting.pdf_pages reporting.thin reporting.focus reporting.histogram reporting.parameter_ranges
    reporting.study_importances reporting.study_history reporting.study_slices reporting.study_pairs
    reporting.study_coordinates reporting.study_evolution reporting.study_curves reporting.study_pruning
    reporting.study_time reporting.study_workers reporting.study_failures reporting.baseline_bars
    reporting.search_chapters reporting.study_chapters reporting.ensemble_numbers reporting.ensemble_agreement
    reporting.ensemble_plots reporting.ensemble_report modeling.report_files modeling.report_writer
    modeling.report_command modeling.optuna_visualization modeling.final_report modeling.summary modeling.finish
    modeling.tasks modeling.train_with_optuna modeling.waiting modeling.distributed
    modeling.optuna_parallel_optimization

    tracking.promotion tracking.honest_rows tracking.contest tracking.promote

    serving.model_code serving.predict
"""
"""Every module of src, in the order of the flow: a module imports only what stands before it."""

ORDER = [f"src.{name}" for name in FLOW.split()]
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
            assert node.level == 0, f"{path.name} imports relatively: write the module's full name"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
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


def test_flow_names_every_module() -> None:
    missing, gone = sorted(MODULES.keys() - set(ORDER)), sorted(set(ORDER) - MODULES.keys())
    assert not missing, f"{missing} missing in FLOW of tests/test_house.py: add them after all that they import"
    assert not gone, f"{gone} in FLOW of tests/test_house.py, but not in src: take them out"
    assert len(ORDER) == len(set(ORDER)), "a module stands twice in FLOW of tests/test_house.py"


def test_no_module_imports_what_stands_later_in_the_flow() -> None:
    place = {name: i for i, name in enumerate(ORDER)}
    known = [(name, needed) for name, needs in GRAPH.items() for needed in needs if {name, needed} <= place.keys()]
    wrong = [f"{name} imports {needed}, which stands later" for name, needed in known if place[needed] >= place[name]]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_import_cycle() -> None:
    """Not even one that an import inside a function hides."""
    assert set(TopologicalSorter(GRAPH).static_order()) == GRAPH.keys()


def test_mlflow_is_imported_only_in_tracking_and_serving() -> None:
    users = {name for name in MODULES if "mlflow" in EXTERNAL[name]}
    assert not [name for name in users if not name.startswith(("src.tracking.", "src.serving."))]


def test_optuna_is_never_imported_where_data_is_read_or_models_are_served() -> None:
    users = {name for name in MODULES if "optuna" in EXTERNAL[name]}
    assert not [name for name in users if name.startswith(("src.data.", "src.serving.", "src.tracking.registry"))]


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


HEAVY = "boto3 lightgbm matplotlib mlflow numpy optuna pandas plotly pyarrow scipy sklearn sqlalchemy"


COMMANDS = [
    "modeling.train_with_optuna",
    "modeling.optuna_parallel_optimization",
    "modeling.optuna_visualization",
    "tracking.promote",
    "serving.predict",
]


@pytest.mark.parametrize("module", COMMANDS)
def test_help_loads_nothing_heavy(module: str) -> None:
    """So that `--help` and a mistyped option answer at once."""
    code = "import sys; from src.MODULE import build_parser; build_parser().format_help()"
    code = code.replace("MODULE", module)
    code += f"; sys.exit(' '.join(sorted(set('{HEAVY}'.split()) & set(sys.modules))) or 0)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
