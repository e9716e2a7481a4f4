"""The command that takes over what authors published, and what it writes."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save
from weight_files import (
    KERAS,
    PLAIN,
    assert_same,
    write_keras_2,
    write_keras_3,
    write_keras_zip,
    write_npz,
)

import ranvier as rv
from ranvier.__main__ import main
from ranvier.authors import AUTHORS, load_authors, network_with, read_imported
from ranvier.channels import TEN_TWENTY
from ranvier.networks import make_network

PARITY = Path(__file__).parents[2] / "shared" / "parity"
FIXTURES = {
    "rest": "rest",
    "arnn": "arnn",
    "attn_sleep": "attn_sleep",
    "attn_sleep_shhs": "attn_sleep",
    "inception": "inception",
    "temporal_attention_lstm": "temporal_attention_lstm",
    "temporal_attention_lstm_selected": "temporal_attention_lstm",
}
NETWORK = "temporal_attention_lstm"


@pytest.fixture
def weights_file(tmp_path) -> Path:
    return write_npz(tmp_path / "weights.npz", KERAS)


@pytest.fixture
def checked(tmp_path, weights_file) -> Path:
    """A fixture with the small network's own answer."""
    windows = np.random.default_rng(1).normal(size=(2, 6, 4)).astype(np.float32)
    network = network_with(NETWORK, load_authors(NETWORK, weights_file, config={"bins": 6}))
    with torch.inference_mode():
        output = network.readout(network.embed(torch.as_tensor(windows))).numpy()
    return write_npz(tmp_path / "checked.npz", {"input": windows, "output": output})


def import_small(*words: object) -> int:
    return main(["import-weights", NETWORK, *map(str, words), "--sizes.bins=6"])


@pytest.mark.parametrize("name", FIXTURES)
def test_the_authors_weights_give_the_authors_answers(name, tmp_path, capsys):
    fixture = PARITY / f"{name}.npz"
    if not fixture.exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    words = [str(fixture), str(tmp_path / "out.safetensors"), "--check", str(fixture), "--json"]
    assert main(["import-weights", FIXTURES[name], *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["differences"]
    assert max(answer["differences"].values()) <= answer["bound"] == 1e-4
    network, imported = read_imported(tmp_path / "out.safetensors")
    assert network == FIXTURES[name]
    assert network_with(network, imported).channels == imported.channels


@pytest.mark.parametrize("name", FIXTURES)
def test_an_answer_that_is_a_thousandth_off_is_refused(name, tmp_path, capsys):
    if not (PARITY / f"{name}.npz").exists():
        pytest.skip("the parity fixtures do not lie beside the project")
    with np.load(PARITY / f"{name}.npz") as stored:
        altered = dict(stored)
    output = next(key for key in altered if key.startswith("output"))
    altered[output] = altered[output] + np.float32(1e-3)
    fixture, out = str(write_npz(tmp_path / "altered.npz", altered)), tmp_path / "out"
    assert main(["import-weights", FIXTURES[name], fixture, str(out), "--check", fixture]) == 1
    assert f"{output}: largest difference 1.0e-03, above 1e-04" in capsys.readouterr().out
    assert not out.exists()


def test_what_was_written_is_read_again(tmp_path, weights_file, checked):
    out = tmp_path / "new" / "small.safetensors"
    assert import_small(weights_file, out, "--check", checked) == 0
    network, imported = read_imported(out)
    first = load_authors(NETWORK, weights_file, config={"bins": 6})
    assert (network, imported.channels, imported.settings) == (
        NETWORK,
        first.channels,
        first.settings,
    )
    assert_same({name: one.numpy() for name, one in imported.weights.items()}, first.weights)
    assert sorted(out.parent.iterdir()) == [out]


def test_the_file_says_where_it_came_from(tmp_path, weights_file):
    import_small(weights_file, tmp_path / "out")
    with safe_open(tmp_path / "out", framework="np") as stored:
        about = stored.metadata()
    assert len(about["source_sha256"]) == 64
    assert about["ranvier"].startswith("0.")
    assert json.loads(about["settings"])["window"] == 6


def test_sizes_and_numbers_of_weights_are_told(tmp_path, weights_file, capsys):
    assert import_small(weights_file, tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "temporal_attention_lstm, 4 channels: window 6, hidden 3" in told
    total = sum(one.size for one in KERAS.values())
    assert f"weights: {total} trainable, 36 frozen, 0 unused" in told


def test_nothing_is_written_where_answers_differ(tmp_path, weights_file, checked, capsys):
    (tmp_path / "out").write_text("before")
    with np.load(checked) as stored:
        altered = {**stored, "output": np.full_like(stored["output"], np.nan)}
    fixture = write_npz(tmp_path / "altered.npz", altered)
    assert import_small(weights_file, tmp_path / "out", "--check", fixture, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["file"], answer["differences"]) == (None, {"output": "inf"})
    assert (tmp_path / "out").read_text() == "before"


def test_a_fixture_without_an_answer_is_refused(tmp_path, weights_file, capsys):
    fixture = write_npz(tmp_path / "fixture.npz", {"input": np.zeros((1, 6, 4), np.float32)})
    assert import_small(weights_file, tmp_path / "out", "--check", fixture) == 1
    assert "has none of the outputs ['output']" in capsys.readouterr().err


def test_a_fixture_of_another_shape_is_refused(tmp_path, weights_file, capsys):
    arrays = {"input": np.zeros((1, 6, 9), np.float32), "output": np.zeros((1, 1))}
    fixture = write_npz(tmp_path / "fixture.npz", arrays)
    assert import_small(weights_file, tmp_path / "out", "--check", fixture) == 1
    assert "cannot be compared" in capsys.readouterr().err


def test_the_file_that_is_read_is_not_written_over(weights_file, capsys):
    assert import_small(weights_file, weights_file) == 1
    assert "is the file that is read, must be another" in capsys.readouterr().err


def test_weights_of_another_network_are_refused(tmp_path, capsys):
    save_file(PLAIN, tmp_path / "other")
    assert import_small(tmp_path / "other", tmp_path / "out") == 1
    assert "cannot be taken over as 'temporal_attention_lstm'" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["--sizes.foo=2", "--sizes.bins=6.5", "--sizes.bins=0"])
def test_sizes_that_are_none_are_refused(tmp_path, weights_file, capsys, size):
    words = ["import-weights", NETWORK, str(weights_file), str(tmp_path / "out"), size]
    assert main(words) == 1
    assert "Invalid " in (told := capsys.readouterr().err)
    assert "bins" in told
    assert not (tmp_path / "out").exists()


def from_ours(name: str, path: Path, config: str) -> Path:
    """A file of the authors' names with what it says of its sizes."""
    module = import_module(AUTHORS[name])
    network = make_network(name, module.TUSZ, {})
    theirs = {theirs: network.state_dict()[ours].numpy() for theirs, ours in module.NAMES.items()}
    return write_npz(path, {**theirs, "config": np.array(config)})


def test_a_size_that_is_no_whole_number_can_be_given(tmp_path):
    file = from_ours("rest", tmp_path / "rest.npz", "{'fire_rate': 0.5}")
    words = [str(file), str(tmp_path / "out"), "--sizes.fire_rate", "0.25", "--sizes.steps", "8"]
    assert main(["import-weights", "rest", *words]) == 0
    settings = read_imported(tmp_path / "out")[1].settings
    assert (settings["fire_rate"], settings["clip"]) == (0.25, 8)


def test_weights_that_are_not_finite_are_not_read(tmp_path, weights_file):
    import_small(weights_file, tmp_path / "out")
    with safe_open(tmp_path / "out", framework="pt") as stored:
        about = stored.metadata()
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    weights["readout.weight"][0, 0] = torch.nan
    (tmp_path / "out").write_bytes(save(weights, metadata=about))
    with pytest.raises(ValueError, match=r"readout.weight has values that are not finite"):
        read_imported(tmp_path / "out")


def test_weights_for_another_order_of_electrodes_say_how_to_order_them(tmp_path, recordings):
    file, out = from_ours("rest", tmp_path / "rest.npz", "{}"), tmp_path / "out"
    assert main(["import-weights", "rest", str(file), str(out)]) == 0
    named = [replace(one, layout=replace(one.layout, channels=TEN_TWENTY)) for one in recordings]
    stages = [{"stage": "pick", "channels": TEN_TWENTY}, *rv.Recipe().stages[2:]]
    with pytest.raises(ValueError, match="a stage pick with the channels of the weights"):
        rv.train("seizure", named[:4], weights=str(out), stages=stages)


def test_an_unknown_network_is_refused(weights_file):
    with pytest.raises(ValueError, match=r"Invalid network: 'eegnet', possible options: \['"):
        load_authors("eegnet", weights_file)


def test_every_network_of_authors_is_named_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["import-weights", "--help"])
    told = capsys.readouterr().out
    assert all(network in told for network in AUTHORS)


def test_help_does_not_need_torch():
    code = (
        "import sys, ranvier.__main__ as m\n"
        "try: m.main(['import-weights', '--help'])\n"
        "except SystemExit: print({'torch', 'h5py', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set()")


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 20])
def test_what_was_not_imported_is_not_read_as_imported(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="Invalid imported weights"):
        read_imported(tmp_path / "x")


def test_plain_safetensors_are_not_imported_weights(tmp_path):
    save_file(PLAIN, tmp_path / "x")
    with pytest.raises(ValueError, match="was not written by ranvier import-weights"):
        read_imported(tmp_path / "x")


@pytest.mark.parametrize("write", [write_keras_2, write_keras_3, write_keras_zip])
def test_every_form_of_keras_gives_the_same_answers(write, tmp_path, checked):
    assert import_small(write(tmp_path / "a"), tmp_path / "out", "--check", checked) == 0


@pytest.mark.parametrize("old", [False, True])
def test_a_whole_model_is_refused_with_advice(tmp_path, old, capsys):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    torch.save(model, tmp_path / "model.pt", _use_new_zipfile_serialization=not old)
    assert import_small(tmp_path / "model.pt", tmp_path / "out") == 1
    told = capsys.readouterr().err.strip()
    assert "write plain weights: torch.save(model.state_dict(), 'plain.pt')" in told
    assert "\n" not in told
