"""Decoders of eight bits: what they cost is known, and too much is refused."""

import json
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import SMALL

import ranvier as rv
from ranvier import onnx_export, onnx_int8
from ranvier.__main__ import main
from ranvier.decisions import AlarmRule, MotionRule, StageRule
from ranvier.decoder import load
from ranvier.decoding import Prediction
from ranvier.export import export
from ranvier.int8_cost import AGREEMENTS
from ranvier.live.runner import certify
from ranvier.networks import make_network
from ranvier.onnx_int8 import Listening, quantised
from ranvier.onnx_rewrites import nodes_of
from ranvier.onnx_runtime import Graph
from ranvier.quantise import quantise
from ranvier.recipe import packaged_recipe
from ranvier.recording import COUNT, Recording
from ranvier.truth import Trajectory

UNITS = tuple(f"unit {i}" for i in range(12))
STAGES = ({"stage": "pick", "channels": ["EEG Fpz-Cz"]},)
FOLD = {
    "number": 0,
    "train": ["01"],
    "validation": ["02"],
    "test": ["03"],
    "in_time": False,
    "protocol": "",
}
PROVENANCE = {"certificate": {"fold": FOLD}}


def weights_of(network, channels, settings):
    torch.manual_seed(0)
    made = make_network(network, channels, settings)
    return {name: value.numpy() for name, value in made.state_dict().items()}


def sleep_decoder():
    """AttnSleep with random weights, small and with short epochs."""
    made = "attn_sleep", {"window": 200, "hidden": 8, "heads": 1}
    weights = weights_of(made[0], ("EEG Fpz-Cz",), made[1])
    weights["readout.weight"] = 5 * weights["readout.weight"]
    return rv.Decoder(
        "sleep", STAGES, ("EEG Fpz-Cz",), 100.0, *made, weights, StageRule(), PROVENANCE
    )


def night(subject, scale=30.0):
    rng = np.random.default_rng(int(subject))
    loud = np.repeat(rng.uniform(0.2, 2, 40), 200)[:, None]
    signal = scale * loud * rng.normal(0, 1, (8000, 1))
    signal[3000:3100] = np.nan
    return Recording.from_array(
        signal, 100.0, ("EEG Fpz-Cz",), name=f"night-{subject}", subject=subject
    )


NIGHTS = [night(subject) for subject in ("01", "02", "03")]


def reach_decoder(**settings):
    network = "temporal_attention_lstm", {"window": 4, "hidden": 8, "dense": 6, **settings}
    weights = weights_of(network[0], UNITS, network[1])
    rule = MotionRule()
    return rv.Decoder("movement", (), UNITS, 10.0, *network, weights, rule, PROVENANCE)


def reaches(subject, bins=300):
    counts = np.random.default_rng(int(subject)).poisson(1.5, (bins, len(UNITS))).astype(float)
    counts[100:110] = np.nan
    moved = np.stack([counts[:, 0], counts[:, 1]], axis=1)
    trajectory = Trajectory(moved, 10.0, bins / 10, ("x", "y"), "cm/s")
    names = {"name": f"reaches-{subject}", "subject": subject, "trajectory": trajectory}
    return Recording.from_array(counts, 10.0, UNITS, unit=COUNT, **names)


REACHES = [reaches(subject) for subject in ("01", "02", "03")]


@pytest.fixture(scope="module")
def asleep():
    return quantise(sleep_decoder(), NIGHTS[:2], margin=0.5)


@pytest.fixture(scope="module")
def moving():
    return quantise(reach_decoder(), REACHES[:2], margin=0.5)


def test_a_night_is_staged_nearly_as_before(asleep):
    assert asleep.cost.agreement >= 0.9
    assert 0 < asleep.cost.difference < 0.2
    assert asleep.cost.sizes[1] < 0.6 * asleep.cost.sizes[0]


def test_movement_is_decoded_nearly_as_before(moving):
    assert moving.cost.agreement > 0.98
    assert moving.cost.sizes[1] < moving.cost.sizes[0]


def test_the_provenance_says_what_was_calibrated_and_compared_on(asleep, moving):
    about = asleep.decoder.provenance["quantised"]
    assert (about["method"], about["calibrated_on"]) == ("static", ["night-01"])
    assert about["compared_on"] == ["night-02"]
    assert asleep.decoder.provenance["certificate"] == PROVENANCE["certificate"]
    about = moving.decoder.provenance["quantised"]
    assert (about["method"], about["calibrated_on"], about["windows"]) == ("dynamic", [], 0)


def test_scores_are_told_where_something_is_annotated(asleep, moving):
    assert asleep.cost.scores == {}
    assert set(moving.cost.scores) == {"r2", "r2_weighted"}
    assert "r2 " in "\n".join(moving.cost.lines())


@pytest.mark.parametrize("which", ["asleep", "moving"])
def test_file_and_stream_say_the_same_to_the_last_bit(which, request):
    made = request.getfixturevalue(which)
    certified = certify(made.decoder, NIGHTS[2] if which == "asleep" else REACHES[2])
    assert certified.equal
    assert certified.difference == 0


def test_what_stands_beside_a_window_changes_nothing(moving):
    stage = moving.decoder.stage(rv.Layout(UNITS, 10.0, COUNT))
    rows = np.random.default_rng(0).poisson([[[1]], [[9]]], (2, 30, len(UNITS)))
    both, _ = stage.step(rows, stage.initial_state(2))
    alone, _ = stage.step(rows[:1], stage.initial_state(1))
    np.testing.assert_array_equal(both[:1], alone)


@pytest.mark.parametrize("which", ["asleep", "moving"])
def test_a_saved_one_answers_as_before(which, request, tmp_path):
    made = request.getfixturevalue(which)
    loaded = load(made.save(tmp_path / "small.ranvier"), check=True)
    assert loaded.runs_on == "int8"
    recording = NIGHTS[2] if which == "asleep" else REACHES[2]
    expected, found = (one.predict(recording).values for one in (made.decoder, loaded))
    np.testing.assert_array_equal(found, expected)


def test_a_file_holds_both_and_each_can_be_chosen(asleep, tmp_path):
    path = asleep.save(tmp_path / "small.ranvier")
    with zipfile.ZipFile(path) as file:
        assert {"step.onnx", "step-int8.onnx", "golden-int8.npz"} <= set(file.namelist())
    for engine in ("torch", "onnx"):
        loaded = load(path, check=True, engine=engine)
        assert loaded.runs_on == engine
        expected = sleep_decoder().on("torch").predict(NIGHTS[2]).values
        np.testing.assert_allclose(loaded.predict(NIGHTS[2]).values, expected, atol=1e-5)


def test_without_torch_it_decodes_in_eight_bits(asleep, tmp_path, monkeypatch):
    path = asleep.save(tmp_path / "small.ranvier")
    monkeypatch.setitem(sys.modules, "torch", None)
    loaded = load(path, check=True)
    assert loaded.runs_on == "int8"
    assert len(loaded.predict(NIGHTS[2]).values) == 40


def test_another_step_is_refused(asleep, tmp_path):
    path = asleep.save(tmp_path / "small.ranvier")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.ranvier", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"other" if name == "step-int8.onnx" else old.read(name))
    with pytest.raises(ValueError, match=r"step-int8\.onnx is not as it was saved"):
        load(tmp_path / "b.ranvier")


def test_other_weights_have_no_step_of_eight_bits(asleep):
    weights = {name: 2 * value for name, value in asleep.decoder.weights.items()}
    changed = replace(asleep.decoder, weights=weights)
    assert changed.runs_on != "int8"
    with pytest.raises(ValueError, match="no step of eight bits for its weights: ranvier quantise"):
        changed.on("int8")


def test_what_costs_more_than_the_margin_is_not_saved(asleep, tmp_path):
    cost = replace(asleep.cost, agreement=0.98, scores={"kappa": (0.8, 0.7)}, margin=0.01)
    with pytest.raises(ValueError, match=r"agreement is 0\.9800, must be .*; kappa loses 0\.1000"):
        replace(asleep, cost=cost).save(tmp_path / "small.ranvier")
    assert not list(tmp_path.iterdir())


def test_wrong_ranges_are_refused():
    quiet = night("01", scale=0.3)
    made = quantise(sleep_decoder(), [quiet], check=NIGHTS[1:2])
    assert made.cost.refusals


def test_broken_weights_are_refused():
    weights = {**reach_decoder().weights, "dense.bias": np.full(6, np.nan, np.float32)}
    with pytest.raises(ValueError, match=r"dense\.bias has one that is not finite"):
        quantise(replace(reach_decoder(), weights=weights), REACHES[:2])


def test_recordings_of_which_nothing_can_be_said_are_refused():
    with pytest.raises(ValueError, match="Nothing to compare: the decoder has no valid output"):
        quantise(reach_decoder(), REACHES[:1], check=[reaches("04", bins=3)])


@pytest.mark.parametrize(
    ("recordings", "options", "reason"),
    [
        (REACHES, {}, "reaches-03 is of subject '03', who is in the test part of the decoder"),
        (REACHES[:1], {}, "Missing check: none of the recordings is of the part"),
        (REACHES[:1], {"check": REACHES[:1]}, "Missing check"),
        (REACHES[1:2], {}, "no recording to calibrate on"),
        (REACHES[:2], {"margin": 1.0}, r"Invalid margin or windows: 1\.0 and 256"),
        (REACHES[:2], {"windows": 0}, "Invalid margin or windows"),
        (REACHES[:2], {"method": "int4"}, "Invalid method: 'int4', possible options"),
    ],
)
def test_what_cannot_be_done_honestly_is_refused(recordings, options, reason):
    with pytest.raises(ValueError, match=reason):
        quantise(reach_decoder(), recordings, **options)


FOLD_PARTS = ("train", "validation", "test")


@pytest.mark.parametrize("whose", ["", " of 01"], ids=["earlier", "now"])
def test_recordings_in_time_are_cut_as_in_training(whose):
    parts = {part: [f"reaches-01_part-{i}{whose}"] for i, part in enumerate(FOLD_PARTS, start=1)}
    fold = {**FOLD, **parts, "in_time": True}
    decoder = replace(reach_decoder(), provenance={"certificate": {"fold": fold}})
    cost = quantise(decoder, REACHES[:1], method="static", margin=0.5).cost
    assert cost.calibrated_on == ("reaches-01_part-1",)
    assert cost.compared_on == ("reaches-01_part-2",)


def test_networks_that_get_hardly_faster_are_refused_unless_told():
    settings = {"window": 4, "hidden": 8}
    weights = weights_of("gru", UNITS, settings)
    changes = {"network": "gru", "network_settings": settings, "weights": weights}
    decoder = replace(reach_decoder(), **changes)
    with pytest.raises(ValueError, match="'gru' gets hardly faster in INT8, networks that do are"):
        quantise(decoder, REACHES[:2])
    made = quantise(decoder, REACHES[:2], method="dynamic")
    assert made.cost.agreement > 0.9


def test_what_has_nothing_to_quantise_is_refused():
    content = reach_decoder().exported()
    with pytest.raises(ValueError, match=r"no layer has weights of network\.views\.$"):
        quantised(content, "dynamic", parts=("network.views.",))
    with pytest.raises(ValueError, match="'dynamic' finds nothing to quantise, it needs one of"):
        quantised(content, "dynamic", parts=("network.normalise.",))


def test_what_onnx_runtime_cannot_quantise_is_refused(monkeypatch):
    def fail(*given):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setitem(onnx_int8.WAYS, "dynamic", fail)
    with pytest.raises(ValueError, match=r"'dynamic' is not possible .* tells for which it is$"):
        quantise(reach_decoder(), REACHES[:2])


@pytest.mark.parametrize(
    ("name", "method"),
    [("REST carried", "static"), ("REST clips", "static"), ("REST clips", "dynamic")],
)
def test_what_is_not_possible_is_said_in_words_of_ours(name, method):
    small = SMALL[name]
    stage = small.make()
    content = onnx_export.export(stage.network, small.network, small.channels, small.settings)
    graph = Graph(content)
    fed = zip(graph.inputs, (np.zeros((1, 1, 18, 8), np.float32), *graph.memory), strict=True)
    with pytest.raises(ValueError, match=f"^Invalid method: '{method}' is not possible") as refused:
        quantised(content, method, [dict(fed)])
    assert "docs/int8.md" in str(refused.value)


def test_nothing_is_calibrated_on_nothing():
    with pytest.raises(ValueError, match="Nothing to calibrate on: no window of the recordings"):
        quantised(sleep_decoder().exported(), "static")


def test_what_decoders_carry_says_the_same_as_what_torch_exports():
    decoder = sleep_decoder()
    chunk = np.random.default_rng(0).normal(0, 1, (1, 200, 1)).astype(np.float32)
    chunk[0, 5:9] = 0
    whole, carried = Graph(decoder.exported()), Graph(decoder.onnx())
    expected, found = (graph.run(chunk, ())[0] for graph in (whole, carried))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    silent, _ = carried.run(np.full_like(chunk, np.nan), ())
    assert np.isnan(silent).all()


def test_parts_of_a_network_are_found_in_its_graph():
    content = sleep_decoder().exported()
    assert len(nodes_of(content, ("network.views.small.",))) == 3
    assert not nodes_of(content, ("network.nothing.",))


def test_calls_are_kept_evenly_and_without_gaps():
    graph = Listening(sleep_decoder().onnx(), every=3)
    for number in range(9):
        graph.run(np.full((1, 200, 1), np.nan if number == 3 else number, np.float32), ())
    assert [kept["chunk"][0, 0, 0] for kept in graph.kept] == [0, 6]


def predicted(values, rows, rule):
    values, rows = (np.array(one, dtype=float)[:, None] for one in (values, rows))
    times = np.arange(1.0, len(values) + 1)
    return Prediction("a", "a", 9.0, 1.0, times, values, rows, rows[:, :0], (), rule)


def test_agreement_counts_outputs_that_either_decides():
    one = predicted([1, 1, 1, np.nan], [0, 1, 2, np.nan], StageRule())
    other = predicted([1, 1, np.nan, np.nan], [0, 2, np.nan, np.nan], StageRule())
    assert AGREEMENTS["stage"]([(one, other)]) == 1 / 3
    assert AGREEMENTS["motion"]([(one, other)]) == 0


def test_an_alarm_that_only_one_raises_is_a_disagreement():
    rule = AlarmRule()
    rows = np.zeros((9, 6))
    rows[:, 1:3] = np.nan
    quiet = replace(predicted(np.zeros(9), np.zeros(9), rule), rows=rows)
    loud = rows.copy()
    loud[4:, 0], loud[4:, 1], loud[4:, 2] = 1, 3, 9
    assert AGREEMENTS["alarm"]([(quiet, quiet)]) == 1
    assert AGREEMENTS["alarm"]([(quiet, replace(quiet, rows=loud))]) == 0


def test_the_command_writes_or_refuses(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ranvier.datasets.read", lambda folder: NIGHTS[:2])
    decoder = str(sleep_decoder().save(tmp_path / "whole.ranvier"))
    words = ["quantise", decoder, "--data", "nights", "--out"]
    assert main([*words, str(tmp_path / "a.ranvier"), "--margin", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibrated_on"] == ["night-01"]
    assert load(tmp_path / "a.ranvier").runs_on == "int8"
    monkeypatch.setattr("ranvier.datasets.read", lambda folder: [night("01", 0.3), NIGHTS[1]])
    assert main([*words, str(tmp_path / "b.ranvier")]) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "b.ranvier").exists()


@pytest.mark.parametrize("out", ["small.onnx", "whole.ranvier"])
def test_the_command_refuses_what_it_cannot_write(tmp_path, capsys, out):
    decoder = str(reach_decoder().save(tmp_path / "whole.ranvier"))
    assert main(["quantise", decoder, "--data", "x", "--out", str(tmp_path / out)]) == 1
    assert "Invalid out: " in capsys.readouterr().err


@pytest.mark.parametrize("which", ["whole", "eight bits"])
def test_a_graph_is_exported_with_what_must_be_known(which, moving, tmp_path):
    decoder = reach_decoder() if which == "whole" else moving.decoder
    made = export(decoder, tmp_path, to="onnx")
    contract = json.loads((tmp_path / "contract.json").read_text())
    assert contract["graph"] == made.files[0].name
    assert contract["graph"] == ("step.onnx" if which == "whole" else "step-int8.onnx")
    assert contract["facts"]["window"] == 4
    assert [one["name"] for one in contract["outputs"]] == ["logits"]
    assert contract["channels"] == list(UNITS)
    example, graph = np.load(tmp_path / "example.npz"), Graph(made.files[0].read_bytes())
    found, _ = graph.run(example["chunks"][0], graph.memory)
    np.testing.assert_array_equal(found, example["logits"][0])


@pytest.mark.slow
def test_a_trained_network_stages_99_of_100_epochs_as_before():
    nights = rv.simulate_nights(subjects=7, hours=2.0)
    recipe = packaged_recipe("sleep", "attn_sleep")
    training = replace(recipe.training, passes=8)
    decoder = rv.train("sleep", nights[:5], recipe=replace(recipe, training=training))
    made = quantise(decoder, nights[:5], check=nights[5:], margin=0.02)
    assert made.cost.agreement >= 0.99
    assert not made.cost.refusals
