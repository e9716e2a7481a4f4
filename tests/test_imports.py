"""The shape of the house: who may import whom, how long things may be, how fast it opens."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ranvier as rv
from ranvier.networks import NETWORKS

ROOT = Path(__file__).parents[1] / "src" / "ranvier"

ORDER = [
    "writing", "truth", "seizure_types", "recording", "channels", "streaming", "counts", "formats",
    "stored_recording", "signal_store", "datasets", "download", "simulate", "polyphase",
    "recursion", "signal", "features", "stages", "networks", "authors", "alarms", "decisions",
    "tasks", "splits", "certificate", "store", "official_split", "windows", "staged",
    "window_sampler", "import_paths", "schedules", "variations", "training", "lesson",
    "checkpoint", "fit", "runtime", "onnx_runtime", "onnx_export", "onnx_nodes", "onnx_views",
    "onnx_rewrites", "onnx_int8", "decoding", "golden", "decoder_file", "decoder", "int8_cost",
    "quantise", "closed_loop", "page", "scoring", "thresholds", "missing_leads", "baseline",
    "beside", "recipe", "starting", "fitting", "personal", "truth_files", "fold_files", "leftovers",
    "all_folds", "drift", "timesteps", "live", "spectrogram", "figures", "figures_sleep",
    "figures_movement", "figures_drift", "report_scores", "report_seizure_type",
    "report_sleep_statistics", "report_sleep_trust", "report_sleep", "report_movement", "report",
    "evaluation", "audit", "protocols", "rescoring", "classification", "inspection", "export",
    "bench", "commands", "__main__", "__init__",
]  # fmt: skip
"""Each imports only from those before it."""


def top(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def modules(tree: ast.AST) -> set[str]:
    return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def imported(tree: ast.AST) -> set[str]:
    return {name.split(".")[1] for name in modules(tree) if name.startswith("ranvier.")}


FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_imports_only_from_those_above_it(path):
    place = ORDER.index(top(path))
    for name in imported(TREES[path]) - {top(path)}:
        assert ORDER.index(name) < place, f"{name} stands below {top(path)}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("networks/*.py")), ids=name_of)
def test_networks_know_no_data_and_no_other_network(path):
    assert imported(TREES[path]) <= {"channels", "networks"}
    others = {module.removeprefix("ranvier.networks.") for module in modules(TREES[path])}
    assert not others & {name.partition(":")[0].rpartition(".")[2] for name in NETWORKS.values()}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path):
    assert path.read_text().count("\n") <= 450
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            doc = node.body[0] if ast.get_docstring(node) else None
            documented = doc.end_lineno - doc.lineno + 1 if doc else 0
            assert node.end_lineno - node.lineno + 1 - documented <= 50, node.name


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("heavy", ["torch", "scipy", "sklearn", "matplotlib", "lightning_fabric"])
def test_heavy_packages_are_imported_when_they_are_needed(heavy):
    code = (
        "import sys; from ranvier.__main__ import overview; overview(); print({!r} in sys.modules)"
    )
    assert run_python(code.format(heavy)) == "False"


def test_every_public_name_exists():
    assert run_python("import ranvier as rv; [getattr(rv, n) for n in rv.__all__]; print(1)") == "1"


def test_type_checkers_see_every_public_name_where_it_is():
    told = {
        one.name: node.module.removeprefix("ranvier.")
        for node in ast.walk(ast.parse((ROOT / "__init__.pyi").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("ranvier.")
        for one in node.names
    }
    assert told == rv._NAMES
    assert rv.__version__ == version("ranvier")


CHECKPOINTS = ROOT / "authors" / "files.py"
"""The one place where checkpoints of PyTorch are opened."""


def calls(path: Path, function: str) -> list[ast.Call]:
    found = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func) == function]


def test_nothing_is_unpickled():
    for path in FILES:
        text = path.read_text()
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text
        assert "jit.load" not in text
        assert text.count("torch.load") == (path == CHECKPOINTS)


def test_checkpoints_are_opened_for_their_weights_only():
    (call,) = calls(CHECKPOINTS, "torch.load")
    given = {option.arg: ast.unparse(option.value) for option in call.keywords}
    assert given == {"map_location": "'cpu'", "weights_only": "True"}


def test_nothing_of_a_checkpoint_is_made_but_stand_ins():
    (allowed,) = calls(CHECKPOINTS, "torch.serialization.safe_globals")
    (function,) = (
        node
        for node in ast.walk(TREES[CHECKPOINTS])
        if isinstance(node, ast.FunctionDef) and node.name == "_stand_ins"
    )
    assert ast.unparse(allowed.args[0]) == "_stand_ins(path)"
    assert "[(_Ignored, name) for name in" in ast.unparse(function)
