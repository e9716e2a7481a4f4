"""A decoder in ONNX Runtime: the same file, the same events, no torch."""

import hashlib
import json
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from conftest import LABELS
from test_decoder import rewrite

import ranvier as rv
from ranvier.__main__ import main
from ranvier.decoder import load
from ranvier.decoder_file import read_parts, write_parts
from ranvier.live.runner import certify
from ranvier.onnx_runtime import Graph, OnnxStage
from ranvier.runtime import NetworkStage

ENGINES = ("torch", "onnx")
LAYOUT = rv.Layout(LABELS, 256.0)


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def rewritten(file, path, graph=b""):
    """Write a decoder's file anew, with another graph or none."""
    about, parts = read_parts(file)
    kept = {name: parts[name] for name in parts if name not in ("decoder.json", "step.onnx")}
    about = {name: about[name] for name in about if name not in ("onnx", "sha256")}
    if graph:
        about["onnx"] = {"sha256": hashlib.sha256(graph).hexdigest()}
        kept["step.onnx"] = graph
    return write_parts(path, about, kept)


@pytest.fixture(scope="module")
def old_file(tmp_path_factory, decoder_file):
    """As a version wrote it that knew nothing of ONNX."""
    return rewritten(decoder_file, tmp_path_factory.mktemp("old") / "old.ranvier")


@pytest.fixture(scope="module")
def earlier_graph(decoder):
    """As it was written when graphs were kept as torch exports them, and took several windows."""
    import onnx

    model = onnx.load_from_string(decoder.exported())
    about = {one.key: one.value for one in model.metadata_props}
    facts = json.dumps({**json.loads(about["facts"]), "together": True})
    onnx.helper.set_model_props(model, {**about, "facts": facts})
    return model.SerializeToString()


def test_both_engines_find_the_same(decoder_file, recordings):
    torch, onnx = (load(decoder_file, engine=name).predict(recordings[7]) for name in ENGINES)
    np.testing.assert_allclose(onnx.probability, torch.probability, rtol=0, atol=1e-6)
    assert [one.onset for one in onnx.events] == [one.onset for one in torch.events]


def test_torch_computes_where_it_is_installed(decoder):
    assert decoder.runs_on == "torch"
    assert isinstance(decoder.bind(LAYOUT).pipeline.stages[-1], NetworkStage)


def test_an_engine_can_be_chosen(decoder):
    chosen = decoder.on("onnx")
    assert isinstance(chosen.bind(LAYOUT).pipeline.stages[-1], OnnxStage)


@pytest.mark.parametrize("choose", [load, lambda path, engine: load(path).on(engine)])
def test_an_unknown_engine_is_refused(choose, decoder_file):
    with pytest.raises(ValueError, match=r"Invalid engine: 'tf', possible options: \['auto', "):
        choose(decoder_file, engine="tf")


def test_the_stored_answer_holds_in_both(decoder_file):
    load(decoder_file, check=True, engine="onnx")


def test_file_and_stream_agree_in_onnx(decoder_file, recordings):
    assert certify(load(decoder_file, engine="onnx"), recordings[7].until(60)).equal


def test_without_torch_it_decodes(decoder_file, recordings, no_torch):
    decoder = load(decoder_file, check=True)
    assert decoder.runs_on == "onnx"
    assert len(decoder.decode(recordings[7])) == 1


def test_without_torch_it_is_saved_again(decoder_file, tmp_path, no_torch):
    decoder = load(decoder_file)
    changed = replace(decoder, provenance={**decoder.provenance, "note": "moved"})
    again = load(changed.save(tmp_path / "again.ranvier"), check=True)
    assert again.onnx() == decoder.onnx()


def test_without_torch_torch_cannot_be_chosen(decoder_file, no_torch):
    with pytest.raises(ValueError, match=r"^Torch is missing: pip install"):
        load(decoder_file, engine="torch")


def test_a_graph_is_not_used_for_other_weights(decoder_file):
    decoder = load(decoder_file)
    other = replace(decoder, weights={name: 2 * w for name, w in decoder.weights.items()})
    assert other.onnx() != decoder.onnx()


def test_other_weights_have_no_graph_without_torch(decoder_file, no_torch):
    decoder = load(decoder_file)
    other = replace(decoder, weights={name: 2 * w for name, w in decoder.weights.items()})
    with pytest.raises(ValueError, match="has no graph for ONNX Runtime: save it again where"):
        other.onnx()


def test_an_older_file_gets_its_graph_from_torch(old_file, recordings):
    torch, onnx = (load(old_file, engine=name).predict(recordings[7]) for name in ENGINES)
    np.testing.assert_allclose(onnx.probability, torch.probability, rtol=0, atol=1e-6)


def test_an_older_file_needs_torch(old_file, no_torch):
    with pytest.raises(ValueError, match="its file is older than such graphs"):
        load(old_file)


def test_an_earlier_graph_is_run_as_it_is(
    earlier_graph, decoder_file, recordings, tmp_path, no_torch
):
    path = rewritten(decoder_file, tmp_path / "earlier.ranvier", earlier_graph)
    earlier, now = (load(one, check=True) for one in (path, decoder_file))
    assert earlier.onnx() == earlier_graph != now.onnx()
    expected = now.predict(recordings[7]).probability
    np.testing.assert_allclose(earlier.predict(recordings[7]).probability, expected, atol=1e-6)


def test_another_graph_is_refused(decoder_file, tmp_path):
    with pytest.raises(ValueError, match=r"step\.onnx is not as it was saved"):
        load(rewrite(decoder_file, tmp_path / "swapped.ranvier", step=b"another"))


def test_a_decoder_that_is_no_graph_is_saved_and_says_why(decoder, tmp_path):
    sampled = {**decoder.network_settings, "update": "sampled"}
    path = replace(decoder, network_settings=sampled).save(tmp_path / "sampled.ranvier")
    with zipfile.ZipFile(path) as file:
        assert "step.onnx" not in file.namelist()
        about = json.loads(file.read("decoder.json"))
    assert "a graph cannot draw at random" in about["onnx"]["missing"]


def test_weights_by_name_need_torch(decoder_file, no_torch):
    with pytest.raises(ValueError, match=r"^Torch is missing: pip install"):
        load(decoder_file).exported()


def test_a_graph_stands_on_its_own(decoder):
    assert Graph(decoder.onnx()).facts.sites == decoder.channels


def test_commands_take_an_engine(decoder_file, bids, tmp_path, no_torch, capsys):
    file = str(next(bids.rglob("sub-04*run-00_eeg.edf")))
    assert main(["decode", str(decoder_file), file, "--out", str(tmp_path / "a")]) == 0
    assert main(["certify", str(decoder_file), file, "--engine", "onnx"]) == 0
    assert "file and live agree" in capsys.readouterr().out
    assert main(["certify", str(decoder_file), file, "--engine", "torch"]) == 1
    assert "Torch is missing" in capsys.readouterr().err
