"""The core alone, in an environment of its own: it decodes, and torch is not there."""

import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST = 300
"""Megabytes that the core may take."""

OFFLINE = ("Could not find a version", "No matching distribution", "ConnectionError", "Max retries")
HEAVY = ("torch", "sklearn", "matplotlib", "h5py", "joblib", "lightning_fabric", "onnx")

pytestmark = pytest.mark.slow


def run(*words: object) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    given = [str(word) for word in words]
    return subprocess.run(given, capture_output=True, text=True, env=clean, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("core")
    venv.create(place, with_pip=True, symlinks=True)
    python = place / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    done = run(*pip, ROOT, "-c", ROOT / "constraints.txt")
    if any(sign in done.stderr for sign in OFFLINE):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def recording(bids) -> Path:
    return next(bids.rglob("sub-04*run-00_eeg.edf"))


def succeed(*words: object) -> str:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def events_of(folder: Path) -> list[str]:
    lines = next(folder.rglob("*_events.tsv")).read_text().splitlines()
    return ["\t".join(line.split("\t")[:5]) for line in lines]


def test_nothing_heavy_is_installed(python):
    found = f"import importlib.util as u; print([n for n in {HEAVY} if u.find_spec(n)])"
    assert succeed(python, "-c", found).strip() == "[]"


def test_it_decodes_as_torch_does(python, decoder_file, recording, tmp_path):
    options = (decoder_file, recording, "--out")
    succeed(python, "-m", "ranvier", "decode", *options, tmp_path / "core")
    succeed(
        sys.executable, "-m", "ranvier", "decode", *options, tmp_path / "torch", "--engine=torch"
    )
    assert events_of(tmp_path / "core") == events_of(tmp_path / "torch")
    assert len(events_of(tmp_path / "core")) == 2


def test_it_replays_live(python, decoder_file, recording):
    options = (decoder_file, "--source", f"replay:{recording}", "--speed=0")
    said = succeed(python, "-m", "ranvier", "live", *options).splitlines()
    assert len(said) == 180
    assert any(json.loads(line)["alarm"] for line in said)


def test_it_proves_that_file_and_stream_agree(python, decoder_file, recording):
    assert "agree" in succeed(python, "-m", "ranvier", "certify", decoder_file, recording)


def test_training_says_what_is_missing(python, bids, tmp_path):
    done = run(python, "-m", "ranvier", "train", "--data", bids, "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().endswith('Torch is missing: pip install "ranvier[train]"')


def test_it_opens_quickly(python):
    run(python, "-c", "import ranvier.decoder, onnxruntime")
    began = time.monotonic()
    succeed(python, "-c", "import ranvier")
    took = time.monotonic() - began
    print(f"import ranvier: {took:.2f} s with the interpreter")
    assert took < 2


def test_it_is_small(python):
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    own = [one for one in packages.iterdir() if not one.name.startswith(("pip", "setuptools"))]
    files = [file for one in own for file in ([one] if one.is_file() else one.rglob("*"))]
    megabytes = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    print(f"installed: {megabytes:.0f} MB")
    assert megabytes < LARGEST
