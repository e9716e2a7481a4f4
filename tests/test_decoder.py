"""The saved decoder: whole or refused, and the same answer everywhere."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from conftest import LABELS, make_recording

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA
from ranvier.decoder import load
from ranvier.networks.rest import REST
from ranvier.scoring.seizure import score_predictions


def rewrite(source, target, **changed):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            key = name.partition(".")[0]
            new.writestr(name, changed.get(key, old.read(name)))
    return target


def with_json(source, target, **changed):
    with zipfile.ZipFile(source) as old:
        about = json.loads(old.read("decoder.json"))
    return rewrite(source, target, decoder=json.dumps({**about, **changed}))


def test_a_saved_decoder_gives_the_same_answer(decoder, decoder_file, recordings):
    one, two = (which.predict(recordings[7]) for which in (decoder, load(decoder_file)))
    np.testing.assert_array_equal(one.probability, two.probability)
    assert one.events == two.events


def test_the_stored_answer_is_checked_on_request(decoder_file):
    load(decoder_file, check=True)


def test_the_file_holds_no_pickle(decoder_file):
    with zipfile.ZipFile(decoder_file) as file:
        parts = ["decoder.json", "weights.safetensors", "step.onnx", "golden.npz"]
        assert file.namelist() == parts


def test_the_file_says_where_it_comes_from(decoder_file):
    with zipfile.ZipFile(decoder_file) as file:
        about = json.loads(file.read("decoder.json"))
    fold = about["provenance"]["certificate"]["fold"]
    assert set(fold["train"]) | set(fold["validation"]) == {"01", "02", "03"}
    assert {"code_sha256", "versions", "history"} <= set(about["provenance"])


def test_a_cut_file_is_refused(tmp_path, decoder_file):
    cut = tmp_path / "cut.ranvier"
    cut.write_bytes(decoder_file.read_bytes()[:-200])
    with pytest.raises(ValueError, match="is not a whole decoder file"):
        load(cut)


def test_another_version_is_refused(tmp_path, decoder_file):
    with pytest.raises(ValueError, match="format 99, this version of Ranvier reads format 2"):
        load(with_json(decoder_file, tmp_path / "new.ranvier", format=99))


def test_other_weights_are_refused(tmp_path, decoder, decoder_file):
    with pytest.raises(ValueError, match="the weights are not those that were saved"):
        load(with_json(decoder_file, tmp_path / "swapped.ranvier", weights_sha256="0"))


def test_another_answer_is_refused(decoder_file, monkeypatch):
    monkeypatch.setattr(REST, "_within_bound", lambda _, memory: memory * 0.9)
    with pytest.raises(ValueError, match="its stored input is answered otherwise"):
        load(decoder_file, check=True)


@pytest.mark.parametrize("changed", [{"rule": {}}, {"network_settings": {"fire_rate": 0.9}}])
def test_a_decoder_that_was_changed_is_refused(tmp_path, decoder_file, changed):
    with pytest.raises(ValueError, match="is not as it was saved"):
        load(with_json(decoder_file, tmp_path / "changed.ranvier", **changed))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all"])
def test_what_is_no_decoder_is_refused(tmp_path, content):
    path = tmp_path / "no.ranvier"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a whole decoder file"):
        load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        load(tmp_path / "none.ranvier")


def test_saving_leaves_no_other_file(tmp_path, decoder):
    decoder.save(tmp_path / "one.ranvier")
    assert [path.name for path in tmp_path.iterdir()] == ["one.ranvier"]


def test_prepared_and_raw_recordings_get_the_same_answer(evaluation, recordings):
    fold = evaluation.folds[0]
    for prediction in fold.predictions:
        (recording,) = [one for one in recordings if one.name == prediction.name]
        raw = fold.decoder.predict(recording)
        np.testing.assert_allclose(raw.probability, prediction.probability, atol=1e-6)
        assert raw.events.items == prediction.events.items


def test_a_carried_state_tells_seizures_apart_as_well_as_clips(decoder, recordings):
    clips = replace(decoder, network_settings={"memory": "clip", "clip": 12})
    areas = []
    for one in (decoder, clips):
        found = [one.predict(recording) for recording in recordings]
        truth = {recording.name: recording.events for recording in recordings}
        areas.append(score_predictions(found, truth).pooled.auroc)
    assert areas[0] == pytest.approx(areas[1], abs=0.05)


def test_the_same_signal_as_bipolar_channels_gives_the_same_events(decoder):
    referential = make_recording("09")
    signal = referential.read()
    places = {name.split()[1].split("-")[0].title(): i for i, name in enumerate(LABELS)}
    pairs = [name.title().split("-") for name in DOUBLE_BANANA]
    bipolar = np.stack([signal[:, places[a]] - signal[:, places[b]] for a, b in pairs], axis=1)
    other = rv.Recording.from_array(bipolar, 256, DOUBLE_BANANA, name="bipolar")
    one, two = decoder.predict(referential), decoder.predict(other)
    np.testing.assert_allclose(one.probability, two.probability, atol=1e-6)
    assert one.events.items == two.events.items
