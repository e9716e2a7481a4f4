"""The folder for a container of SzCORE: what is in it, what it does, what is refused."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import make_recording

import ranvier as rv
from ranvier.__main__ import main as program
from ranvier.decisions import StageRule
from ranvier.export.szcore import export_szcore
from ranvier.export.szcore_algorithm import check_algorithm
from ranvier.export.szcore_alone import watch
from ranvier.export.szcore_check import (
    CASES,
    UID,
    Case,
    check_decoder,
    check_folder,
    is_root,
    limits,
    run_alone,
    without_network,
)
from ranvier.export.szcore_check import main as check_main
from ranvier.export.szcore_wheel import pins, wheel_name
from ranvier.formats import read_events

AUTHOR = "Ada King Lovelace <ada@example.org>, Analytical Engines; Bo Ek"
GIVEN = {"license": "BSD-3-Clause", "image": "ghcr.io/me/ranvier:0.1", "trained_on": "Simulated"}
START = datetime(2023, 7, 24, 13, 58, 32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, decoder):
    out = tmp_path_factory.mktemp("szcore") / "out"
    return export_szcore(decoder, out, name="small", author=AUTHOR, **GIVEN)


@pytest.fixture(scope="module")
def folder(exported) -> Path:
    return exported.files[0].parent


@pytest.fixture(scope="module")
def seizure():
    return make_recording("04")


class TestFolder:
    def test_has_all_that_is_needed_and_nothing_else(self, folder):
        wheel = f"ranvier-{version('ranvier')}-py3-none-any.whl"
        expected = {"Dockerfile", "README.md", "constraints.txt", wheel}
        found = {path.name for path in folder.iterdir()}
        assert found == expected | {"small.ranvier", "small.yaml"}

    def test_is_written_again_over_itself(self, tmp_path, decoder, folder):
        for _ in range(2):
            export_szcore(decoder, tmp_path, name="small", author=AUTHOR, **GIVEN)
        for path in set(folder.iterdir()) - set(folder.glob("*.whl")):
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()

    def test_tells_sizes_and_how_long_each_try_took(self, exported):
        units = [unit for _, _, unit in exported.rows]
        assert units == ["bytes"] * 6 + ["ms"] * len(CASES)
        assert exported.notes == limits()

    def test_has_the_same_decoder(self, folder, decoder, seizure):
        found = rv.load(folder / "small.ranvier").predict(seizure)
        np.testing.assert_array_equal(found.probability, decoder.predict(seizure).probability)

    def test_has_the_code_that_exported_it(self, folder):
        (wheel,) = folder.glob("*.whl")
        root = Path(rv.__file__).parent
        entry = "export/szcore_entry.py"
        with zipfile.ZipFile(wheel) as file:
            assert file.testzip() is None
            assert file.read(f"ranvier/{entry}") == (root / entry).read_bytes()
            assert not any(name.endswith(".pyc") for name in file.namelist())

    def test_names_the_versions_of_the_core_and_not_of_training(self, folder):
        lines = (folder / "constraints.txt").read_text().splitlines()
        names = {line.partition("==")[0] for line in lines}
        assert {"numpy", "scipy", "onnxruntime", "edfio", "safetensors"} <= names
        assert not names & {"torch", "ranvier", "pytest"}
        assert pins() == (folder / "constraints.txt").read_text()


class TestCommand:
    def test_writes_the_folder_and_names_its_files(self, tmp_path, decoder_file, capsys):
        given = [f"--{name}={value}" for name, value in GIVEN.items()]
        words = ["export", str(decoder_file), str(tmp_path), "--to=szcore", f"--author={AUTHOR}"]
        assert program([*words, *given]) == 0
        said = capsys.readouterr().out
        assert "two seconds" in said
        assert f"{tmp_path / 'Dockerfile'} was written" in said

    def test_asks_for_what_is_missing(self, tmp_path, decoder_file, capsys):
        assert program(["export", str(decoder_file), str(tmp_path), "--to=szcore"]) == 1
        assert "ranvier export: Missing author: must be" in capsys.readouterr().err


class TestDockerfile:
    @pytest.fixture
    def lines(self, folder) -> list[str]:
        text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
        return [" ".join(line.split()) for line in text.splitlines()]

    def test_starts_from_slim_python_for_the_processor_of_the_challenge(self, lines):
        (start,) = [line for line in lines if line.startswith("FROM")]
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert start == f"FROM --platform=linux/amd64 python:{python}-slim"

    def test_runs_as_a_user_without_rights(self, lines):
        assert f"USER {UID}" in lines
        last_of_root = max(i for i, line in enumerate(lines) if line.startswith(("RUN", "COPY")))
        assert last_of_root < lines.index(f"USER {UID}")

    def test_has_the_volumes_and_names_of_the_template(self, lines):
        for line in ('VOLUME ["/data"]', 'VOLUME ["/output"]', 'ENV INPUT=""', 'ENV OUTPUT=""'):
            assert line in lines
        assert any("PYTHONDONTWRITEBYTECODE=1" in line for line in lines)

    def test_runs_the_program_on_what_is_named(self, lines):
        program = "python -m ranvier.export.szcore_entry /app/small.ranvier"
        assert lines[-1] == f'CMD exec {program} "/data/$INPUT" "/output/$OUTPUT"'

    def test_copies_only_what_is_in_the_folder_and_installs_the_core_alone(self, lines, folder):
        copied = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
        names = [name for words in copied for name in words if not name.startswith("--")]
        assert all((folder / name).is_file() for name in names)
        (install,) = [line for line in lines if "pip install" in line]
        assert "[" not in install
        assert "--constraint constraints.txt" in install


class TestAlgorithm:
    @pytest.fixture
    def about(self, folder) -> dict:
        return yaml.safe_load((folder / "small.yaml").read_text())

    def test_of_a_folder_is_what_was_given(self, about):
        check_algorithm(about)
        assert about["image"] == GIVEN["image"]
        assert about["license"] == "BSD-3-Clause"
        assert about["datasets"] == ["Simulated"]
        assert about["authors"] == [
            {
                "given_names": "Ada King",
                "family_names": "Lovelace",
                "affiliation": "Analytical Engines",
                "email": "ada@example.org",
            },
            {"given_names": "Bo", "family_names": "Ek"},
        ]

    def test_tells_what_is_known_of_the_decoder(self, about):
        assert "referential or bipolar channels, from which 18 derivations" in about["abstract"]
        assert "Subjects: 2 for train and 1 for validation." in about["abstract"]

    def test_has_the_image_where_the_challenge_looks_for_it(self, folder):
        text = (folder / "small.yaml").read_text()
        assert re.search(r"^image: (.+)$", text, re.MULTILINE)[1] == GIVEN["image"]


class TestRefusals:
    @pytest.mark.parametrize("name", ["author", "license", "image"])
    def test_of_what_only_the_user_knows_leave_nothing(self, tmp_path, decoder, name):
        given = {"author": AUTHOR, **GIVEN, name: " "}
        with pytest.raises(ValueError, match=f"Missing {name}: must be "):
            export_szcore(decoder, tmp_path / "out", **given)
        assert not (tmp_path / "out").exists()

    def test_of_a_decoder_that_detects_no_seizures(self, tmp_path, decoder):
        staging = replace(decoder, task="sleep", rule=StageRule())
        with pytest.raises(ValueError, match="its task is sleep, must be to detect seizures"):
            export_szcore(staging, tmp_path, author=AUTHOR, **GIVEN)

    def test_of_a_folder_that_is_none(self, tmp_path, capsys):
        assert check_main([str(tmp_path)]) == 1
        assert "has 0 files *.ranvier, must have one" in capsys.readouterr().err


class TestCheck:
    def test_finds_no_fault_in_an_exported_folder(self, folder, capsys):
        assert check_main([str(folder)]) == 0
        said = capsys.readouterr().out
        assert said.count("as it must be") == len(CASES)

    def test_finds_what_is_wrong_with_a_program(self, folder, monkeypatch):
        wrong = Case("wrong", seconds=2.0, silent=True)
        monkeypatch.setattr("ranvier.export.szcore_check.CASES", (wrong,))
        monkeypatch.setattr("ranvier.export.szcore_check.HEADER", "onset")
        (found,) = check_decoder(folder / "small.ranvier", folder / wheel_name())
        assert "must be 'onset'" in found.fault

    def test_stops_an_export_that_would_fail(self, tmp_path, decoder, monkeypatch):
        monkeypatch.setattr("ranvier.export.szcore_check.HEADER", "onset")
        with pytest.raises(ValueError, match="would fail on a file of the kind 'referential"):
            export_szcore(decoder, tmp_path, author=AUTHOR, **GIVEN)
        assert not list(tmp_path.iterdir())

    def test_refuses_a_folder_in_the_place_of_a_file(self, tmp_path, decoder, monkeypatch):
        (tmp_path / "constraints.txt").mkdir()
        monkeypatch.setattr("ranvier.export.szcore.check_folder", lambda made: [])
        with pytest.raises(ValueError, match=r"Invalid out: .*constraints\.txt is a folder"):
            export_szcore(decoder, tmp_path, author=AUTHOR, **GIVEN)
        assert [one.name for one in tmp_path.iterdir()] == ["constraints.txt"]

    def test_runs_the_code_that_lies_in_the_folder(self, tmp_path, folder):
        other = shutil.copytree(folder, tmp_path / "other")
        (other / wheel_name()).write_bytes(b"")
        with zipfile.ZipFile(other / wheel_name(), "w") as wheel:
            wheel.writestr("ranvier/__init__.py", "raise ImportError('of another code')")
        with pytest.raises(ValueError, match=r"cannot be started: .*of another code"):
            check_folder(other)

    def test_refuses_an_algorithm_file_that_was_spoilt(self, tmp_path, folder):
        spoilt = shutil.copytree(folder, tmp_path / "spoilt")
        text = (spoilt / "small.yaml").read_text()
        (spoilt / "small.yaml").write_text(text.replace("license", "licence"))
        with pytest.raises(ValueError, match="Missing license"):
            check_folder(spoilt)

    @pytest.mark.skipif(not is_root(), reason="only root can become a user without rights")
    def test_runs_as_a_user_who_owns_nothing(self, folder, seizure):
        with tempfile.TemporaryDirectory() as place:
            *code, source, output = laid_out(Path(place), folder, seizure)
            (done,) = run_alone(*code, [source], [output / "table.tsv"])
            assert done["code"] == 0, done["said"]
            assert (output / "table.tsv").stat().st_uid == UID
            assert len(read_events(output / "table.tsv").seizures()) == 1

    @pytest.mark.skipif(not is_root(), reason="only root can become a user without rights")
    def test_says_where_nothing_can_be_written(self, folder, seizure):
        with tempfile.TemporaryDirectory() as place:
            *code, source, output = laid_out(Path(place), folder, seizure)
            output.chmod(0o555)
            (done,) = run_alone(*code, [source], [output / "table.tsv"])
            assert done["code"] == 1
            assert "Permission denied" in done["said"]

    @pytest.mark.skipif(not without_network(), reason="no program can be shut off from networks")
    def test_has_no_network(self):
        words = [
            *without_network(),
            sys.executable,
            "-c",
            "import socket; print(socket.if_nameindex())",
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[(1, 'lo')]"

    @pytest.mark.parametrize("event", ["socket.connect", "socket.getaddrinfo", "subprocess.Popen"])
    def test_refuses_networks_and_programs_in_python(self, event):
        with pytest.raises(PermissionError, match="is not possible in the container"):
            watch([])(event, ())

    def test_lets_files_be_changed_in_the_output_folder_alone(self, tmp_path):
        hook = watch([str(tmp_path)])
        hook("open", (str(tmp_path / "table.tsv"), "w", os.O_WRONLY))
        hook("open", ("/elsewhere", "r", os.O_RDONLY))
        with pytest.raises(PermissionError, match="/elsewhere is changed"):
            hook("open", ("/elsewhere", "w", os.O_WRONLY | os.O_CREAT))


def laid_out(place: Path, folder: Path, recording) -> tuple[Path, Path, Path, Path]:
    """Put decoder, wheel and a recording where a user without rights can read them."""
    place.chmod(0o755)
    names = ("small.ranvier", wheel_name())
    decoder, wheel = (Path(shutil.copy(folder / name, place)) for name in names)
    source = rv.write_edf(place / "data" / "in.edf", recording.read(), recording.layout)
    output = place / "output"
    output.mkdir()
    output.chmod(0o1777)
    return decoder, wheel, source, output


PYTHONS = (sys.executable, "/usr/bin/python3")


def open_to_all() -> str:
    """Return a Python of this version that a user without rights can start."""
    code = "import sys; print(sys.version_info[:2])"
    rights = {"user": UID, "group": UID, "extra_groups": []} if is_root() else {}
    for one in PYTHONS:
        try:
            given = {"capture_output": True, "text": True, **rights}
            done = subprocess.run([one, "-c", code], check=False, **given)
        except OSError:
            continue
        if done.stdout.strip() == str(tuple(sys.version_info[:2])):
            return one
    pytest.skip("no Python of this version can be started by a user without rights")


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_give_a_program_that_needs_no_torch(folder, seizure):
    with tempfile.TemporaryDirectory() as named:
        place = Path(named)
        decoder, _, source, output = laid_out(place, folder, seizure)
        python = install(folder, place / "venv")
        assert without_rights([python, "-c", "import torch"]).returncode == 1
        program = [python, "-m", "ranvier.export.szcore_entry"]
        done = without_rights([*program, decoder, source, output / "table.tsv"])
        assert done.returncode == 0, done.stderr
        assert len(read_events(output / "table.tsv").seizures()) == 1
        shutil.copy(folder / "small.yaml", place)
        checked = without_rights([python, "-m", "ranvier.export.szcore_check", place])
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "the check ran as this user" in checked.stderr


def without_rights(words: list) -> subprocess.CompletedProcess[str]:
    rights = {"user": UID, "group": UID, "extra_groups": []} if is_root() else {}
    about = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    given = {"cwd": "/", "env": about, "capture_output": True, "text": True}
    return subprocess.run([str(word) for word in words], check=False, **given, **rights)


def install(folder: Path, venv: Path) -> Path:
    """Do what the Dockerfile does to install; skip where packages cannot be had."""
    subprocess.run([open_to_all(), "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-cache-dir"]
    words = [*pip, "--constraint", folder / "constraints.txt", wheel]
    given = {"capture_output": True, "text": True}
    done = subprocess.run([str(word) for word in words], check=False, **given)
    if done.returncode:
        pytest.skip(f"pip cannot install: {done.stderr.strip().rpartition(chr(10))[2]}")
    return python
