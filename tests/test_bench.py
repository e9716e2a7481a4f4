"""What a decoder costs: rows of all forms, steps told apart, misses; no time is asserted."""

import json
import shutil
import sys
import time
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch

from ranvier.__main__ import main
from ranvier.bench import bench
from ranvier.bench.compiled import time_in_c
from ranvier.bench.machine import memory_of, most_resident, multiplied, operations_of
from ranvier.bench.steps import PARTS, PERCENTILES, Steps, cuts_of, noise, time_steps
from ranvier.decisions import MotionRule
from ranvier.decoder import Decoder, load
from ranvier.networks import make_network
from ranvier.recording import COUNT, Recording

ROWS = {"torch", "onnx", *(["c"] if shutil.which("cc") else [])}


@pytest.fixture(scope="module")
def measured(decoder_file):
    return bench(decoder_file, steps=5)


def test_each_form_that_can_run_has_a_row(measured):
    assert {row.engine for row in measured.rows} == ROWS
    assert all(row.steps == 5 for row in measured.rows)


def test_a_form_that_cannot_run_has_a_note(measured):
    assert any(note.startswith("int8: ") for note in measured.notes)


def test_times_rise_with_the_percentile(measured):
    for row in measured.rows:
        for seconds in (row.step, row.per_second, *row.parts.values()):
            assert list(seconds) == list(PERCENTILES)
            assert 0 < seconds["p50"] <= seconds["p95"] <= seconds["p99"] <= seconds["max"]


def test_preprocessing_and_network_are_told_apart(measured):
    parts = {row.engine: tuple(row.parts) for row in measured.rows}
    assert parts == {name: () if name == "c" else PARTS for name in ROWS}


def test_a_process_of_its_own_tells_its_memory(measured):
    memory = {row.engine: row.memory for row in measured.rows}
    assert 20e6 < memory["onnx"] < memory["torch"]
    assert memory.get("c", 0) < 1e6


def test_the_file_is_weighed(measured, decoder_file):
    assert measured.files[decoder_file.name] == decoder_file.stat().st_size
    assert measured.files["weights.safetensors"] >= sum(
        one.nbytes for one in load(decoder_file).weights.values()
    )


def test_all_is_plain_json(measured):
    about = json.loads(json.dumps(measured.as_dict()))
    assert about["floor"] == about["operations"] / about["multiplied"]
    assert {row["engine"] for row in about["rows"]} == ROWS


def test_the_table_has_a_column_for_each_form(measured):
    lines = str(measured).splitlines()
    heads = next(line for line in lines if "torch" in line).split()
    assert set(heads) == ROWS
    assert all(any(wanted in line for line in lines) for wanted in ("p99", "hop", "real time"))


def test_the_command_prints_json(decoder_file, capsys, monkeypatch):
    monkeypatch.setattr("ranvier.bench.memory_of", lambda path, engine: None)
    assert main(["bench", str(decoder_file), "--steps", "2", "--json"]) == 0
    assert {row["engine"] for row in json.loads(capsys.readouterr().out)["rows"]} == ROWS


@pytest.mark.parametrize(("tick", "missed"), [(0.3, 0), (0.4, 4)])
def test_a_step_that_is_longer_than_the_hop_is_a_miss(decoder, tick, missed):
    recording = noise(decoder, 4)
    chain, ticks = decoder.bind(recording.layout), count()
    timed = time_steps(chain, recording, steps=4, clock=lambda: tick * next(ticks))
    assert chain.hop == 1
    np.testing.assert_allclose(timed.whole, 3 * tick)
    assert timed.missed == missed


def test_short_steps_are_joined_to_seconds():
    timed = Steps(0.25, np.full(11, 0.01), {})
    np.testing.assert_allclose(timed.per_second, [0.04, 0.04])


def test_long_steps_are_spread_over_their_seconds():
    np.testing.assert_allclose(Steps(30.0, np.array([0.3, 0.6]), {}).per_second, [0.01, 0.02])


def test_each_cut_makes_one_answer_known(decoder):
    recording = noise(decoder, 6)
    chain = decoder.bind(recording.layout)
    known = [chain.outputs(cut) for cut in cuts_of(chain, recording, 6)]
    assert known == [0, 2, 3, 4, 5, 6, 7, 8]


def test_noise_for_a_decoder_of_spikes_is_counts():
    units = ("a", "b")
    network = make_network("wiener", units, {"window": 2})
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    stages = ({"stage": "bin_counts", "seconds": 0.1},)
    rule = MotionRule(("x", "y"))
    spikes = Decoder("movement", stages, units, 10.0, "wiener", {"window": 2}, weights, rule)
    found = noise(spikes, 3)
    assert found.layout.unit == COUNT
    assert len(time_steps(spikes.bind(found.layout), found, steps=3).whole) == 3


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_names_in_a_recording_run_nothing(decoder, tmp_path):
    ran, plain = tmp_path / "ran", noise(decoder, 3)
    code = f'static void ran(void) {{ if (system("touch {ran}")) {{ }} }}'
    names = (
        *plain.layout.channels,
        f"*/ extern int system(const char *); __attribute__((constructor)) {code} /*",
    )
    signal = plain.read()[:, [*range(len(names) - 1), 0]]
    hostile = Recording.from_array(signal, plain.layout.rate, names, name="hostile")
    time_in_c(decoder, hostile, steps=2, clock=time.perf_counter)
    assert not ran.exists()


def test_a_recording_that_is_too_short_is_refused(decoder_file, recordings):
    with pytest.raises(ValueError, match="Invalid recording: 2 s, must be at least 3"):
        bench(decoder_file, recording=recordings[0].until(2))


def test_no_steps_are_refused(decoder_file):
    with pytest.raises(ValueError, match="Invalid steps: 0, must be at least 1"):
        bench(decoder_file, steps=0)


def test_operations_are_those_of_the_products(decoder):
    nodes, features, hidden = len(decoder.channels), 100, 32
    update = features + hidden + 4 * hidden + 4 * nodes
    assert operations_of(decoder) == 2 * nodes * hidden * update + 2 * nodes * hidden


def test_an_lstm_is_counted_gate_by_gate(decoder):
    units, hidden, steps = tuple("abcd"), 8, 5
    settings = {"window": steps, "hidden": hidden, "dense": 3, "attention": False, "classes": 1}
    spikes = replace(
        decoder, network="temporal_attention_lstm", channels=units, network_settings=settings
    )
    layers = 2 * (len(units) + hidden) + (2 * hidden + hidden)
    assert operations_of(spikes) == 2 * (steps * 4 * hidden * layers + 3 * hidden + 3)


def test_without_torch_operations_are_not_known(decoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert operations_of(decoder) is None


def test_without_torch_the_others_are_measured(decoder_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("ranvier.bench.memory_of", lambda path, engine: None)
    measured = bench(decoder_file, steps=2)
    assert [row.engine for row in measured.rows] == ["onnx"]
    missing = [note for note in measured.notes if "Torch is missing" in note]
    assert [note.partition(":")[0] for note in missing] == ["torch", "c"]


def test_a_network_that_draws_has_no_step_to_count(decoder):
    sampled = {**decoder.network_settings, "update": "sampled"}
    assert operations_of(replace(decoder, network_settings=sampled)) is None


def test_the_fastest_product_counts():
    times = iter([0.0, 4.0, 4.0, 6.0])
    assert multiplied(rounds=2, clock=lambda: next(times)) == 2 * 1024**3 / 2.0


def test_memory_is_not_known_where_nothing_runs(tmp_path):
    assert memory_of(tmp_path / "none.ranvier", "onnx") is None
    assert most_resident() > 0


def test_counting_leaves_torch_as_it_was(decoder):
    before = torch.backends.mkldnn.enabled
    operations_of(decoder)
    assert torch.backends.mkldnn.enabled == before
