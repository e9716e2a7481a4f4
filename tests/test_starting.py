"""What cannot be trained is refused at once, and parts of training may be one's own."""

import sys
from dataclasses import replace

import pytest
from conftest import QUICK

import ranvier as rv


def test_parts_of_training_can_be_named_by_import_path(recordings):
    settings = replace(
        QUICK,
        passes=1,
        optimiser="torch.optim:NAdam",
        loss="ranvier.tasks.seizure:squared_error",
        metric="ranvier.tasks.seizure:area",
        schedule="cosine",
        schedule_settings={"passes": 4},
    )
    decoder = rv.train("seizure", recordings[:4], training=settings)
    assert len(decoder.provenance["history"]) == 1


@pytest.mark.parametrize("part", ["loss", "optimiser", "metric", "schedule"])
def test_an_unknown_part_of_training_is_refused(recordings, part):
    with pytest.raises(ValueError, match=f"Invalid {part}: 'best', possible options"):
        rv.train("seizure", recordings[:4], training=replace(QUICK, **{part: "best"}))


OWN = """
import numpy as np
import torch

from missing_module import nothing  # DEPENDENCY

steps = 3
def focal(outputs, targets, weights): return ((outputs[:, 0] - targets) ** 2).mean()
def rows(outputs, targets, weights): return (outputs[:, 0] - targets) ** 2
def plain(outputs, targets, weights): return 0.5
def fails(outputs, targets, weights): return outputs.nonsense
def single(outputs, targets): return np.float32(0.5)
def nothing(outputs, targets): return None
def text(outputs, targets): return "0.5"
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module in the current folder, which is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in {"", str(tmp_path)}])
    (tmp_path / "own_needy.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("def focal(:")
    plain = "\n".join(line for line in OWN.splitlines() if "DEPENDENCY" not in line)
    (tmp_path / "own_parts.py").write_text(plain)
    yield tmp_path
    for name in ("own_parts", "own_needy", "own_broken"):
        sys.modules.pop(name, None)


def test_a_module_in_the_current_folder_is_found(own, recordings):
    settings = replace(QUICK, passes=1, loss="own_parts:focal", metric="own_parts:single")
    decoder = rv.train("seizure", recordings[:4], training=settings)
    assert decoder.provenance["history"][0]["score"] == 0.5
    assert str(own) not in sys.path


@pytest.mark.parametrize(
    ("part", "name", "reason"),
    [
        ("loss", "own_needy:focal", "No module named 'missing_module'"),
        ("loss", "own_broken:focal", "SyntaxError"),
        ("loss", "own_parts:absent", "has no attribute 'absent'"),
        ("loss", "own_absent:focal", "must be installed or lie in the current folder"),
        ("loss", ":focal", "possible options"),
        ("loss", "own_parts:steps", "is a int, must be something to call"),
        ("loss", "own_parts:rows", "a Tensor of shape .40,., must give a tensor of one value"),
        ("loss", "own_parts:plain", "gives 0.5, must give a tensor of one value"),
        ("loss", "own_parts:fails", "cannot be computed"),
        ("metric", "own_parts:nothing", "gives None, must be a number"),
        ("metric", "own_parts:text", "gives '0.5', must be a number"),
        ("optimiser", "torch.optim:LBFGS", "cannot make a step"),
        ("optimiser", "torch.optim:SparseAdam", "cannot make a step"),
        ("optimiser", "own_parts:steps", "must be something to call"),
    ],
)
@pytest.mark.usefixtures("own")
def test_a_part_of_ones_own_that_is_of_no_use_is_one_sentence(recordings, part, name, reason):
    with pytest.raises(ValueError, match=f"Invalid {part}: .*{reason}"):
        rv.train("seizure", recordings[:4], training=replace(QUICK, **{part: name}))


SOON = [
    ({"training": replace(QUICK, loss="best")}, "Invalid loss"),
    ({"training": replace(QUICK, metric="best")}, "Invalid metric"),
    ({"training": replace(QUICK, optimiser="best")}, "Invalid optimiser"),
    ({"training": replace(QUICK, optimiser_settings={"speed": 1})}, "Invalid optimiser_settings"),
    (
        {"training": replace(QUICK, precision="16-mixed")},
        "Invalid precision: '16-mixed' on the CPU",
    ),
    ({"training": replace(QUICK, context={"loss": "best"})}, "Invalid loss"),
    ({"device": "abacus"}, "Invalid device or precision"),
    ({"weights": "absent.safetensors"}, "Invalid imported weights"),
    ({"network_settings": {"hiden": 8}}, "Invalid settings of network 'rest'"),
    ({"network_settings": {"features": 7}}, "the network takes 7 features"),
    ({"stages": [{"stage": "filter", "lowest": 1.0}]}, "Invalid settings of stage 'filter'"),
]


@pytest.mark.parametrize("run", [rv.train, rv.evaluate])
@pytest.mark.parametrize(("settings", "reason"), SOON)
def test_what_cannot_be_trained_is_refused_before_recordings_are_prepared(
    monkeypatch, recordings, run, settings, reason
):
    for module in ("fitting", "evaluation"):
        monkeypatch.setattr(f"ranvier.{module}.prepare_annotated", None)
    with pytest.raises(ValueError, match=reason):
        run("seizure", recordings[:4], **{"training": QUICK, **settings})


@pytest.mark.parametrize("run", [rv.train, rv.evaluate])
def test_a_split_that_is_none_is_refused(recordings, run):
    with pytest.raises(ValueError, match="Invalid split: 'subjects', possible options"):
        run("seizure", recordings[:4], split="subjects", training=QUICK)
