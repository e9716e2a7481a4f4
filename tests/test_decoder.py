"""The saved decoder: whole or refused, and the same answer everywhere."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import LABELS, make_recording

import ranvier as rv
from ranvier.alarms import Alarm, AlarmRule, events_of
from ranvier.channels import DOUBLE_BANANA
from ranvier.decoder import load
from ranvier.decoder_file import read_parts, write_parts
from ranvier.golden import check_golden, pack_golden
from ranvier.networks.rest import REST
from ranvier.recording import COUNT, Layout
from ranvier.scoring.seizure import score_predictions
from ranvier.streaming import Pipeline, Stage


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


def test_training_and_decoding_leave_the_generator_of_torch_alone(recordings, decoder_file):
    before = torch.random.get_rng_state()
    quick = rv.Training(passes=1, stretch=40, segment=20, batch=4)
    rv.train("seizure", recordings[:4], training=quick)
    rv.load(decoder_file).decode(recordings[0].until(20))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_decoding_and_certifying_take_a_file(tmp_path, decoder, recordings):
    one = recordings[0].until(60)
    path = rv.write_edf(tmp_path / "a.edf", one.read(), one.layout)
    assert decoder.decode(path).duration == 60
    assert rv.certify(decoder, path).equal


def test_decoding_takes_an_mne_raw(decoder, recordings):
    mne = pytest.importorskip("mne")
    one = recordings[0].until(90)
    info = mne.create_info(list(one.layout.channels), one.layout.rate, "eeg")
    raw = mne.io.RawArray(one.read().T.astype(float) / 1e6, info, verbose="error")
    assert decoder.decode(raw).items == decoder.decode(one).items


def test_decoders_can_be_compared(decoder, decoder_file):
    assert [rv.load(decoder_file), decoder].index(decoder) == 1


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


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"channels": [0, 1]}, r"Invalid channels: \[0, 1\], must be a list of texts"),
        ({"channels": "Fp1"}, "Invalid channels: 'Fp1', must be a list of texts"),
        ({"stages": ["x"]}, r"Invalid stages: \['x'\], must be a list of settings by name"),
        ({"network": ["rest"]}, r"Invalid network: \['rest'\], possible options: \['rest'"),
        ({"network": "x\nRUN y"}, r"Invalid network: 'x\\nRUN y', possible options: \['rest'"),
        ({"network_settings": [1]}, r"Invalid network_settings: \[1\], must be settings by name"),
        ({"rule": None}, "Invalid rule: None, must be settings by name"),
        ({"provenance": 3}, "Invalid provenance: 3, must be settings by name"),
        ({"network_settings": {"hidden": 10**9}}, "Invalid settings of network 'rest': .*alloc"),
    ],
    ids=str,
)
def test_a_description_of_another_kind_is_refused(tmp_path, decoder_file, changed, reason):
    about, parts = read_parts(decoder_file)
    about = {name: about[name] for name in about if name != "sha256"} | changed
    path = tmp_path / "changed.ranvier"
    write_parts(path, about, {name: parts[name] for name in parts if name != "decoder.json"})
    with pytest.raises(ValueError, match=f"Invalid decoder: .*{reason}"):
        load(path, check=True)


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


class Times(Stage):
    """Logits that are the samples times a factor."""

    def __init__(self, factor):
        self.layout, self.factor = Layout(("a",), 20.0, COUNT), factor

    def advance(self, chunk, state):
        return chunk[..., None] * self.factor, state


def times(factor):
    stage = Times(factor)
    return Pipeline(stage.layout, [stage])


def test_the_stored_answer_may_differ_by_a_share_of_the_largest():
    stored = pack_golden(times(20.0), 0)
    check_golden(times(20.0 * (1 + 0.9e-4)), stored)
    with pytest.raises(ValueError, match="its stored input is answered otherwise"):
        check_golden(times(20.0 * (1 + 1.1e-4)), stored)


def test_an_answer_that_is_no_number_anymore_is_refused():
    stored = pack_golden(times(20.0), 0)
    with pytest.raises(ValueError, match="160 of 160 values are valid in one of the two alone"):
        check_golden(times(np.nan), stored)


def test_an_answer_without_a_valid_value_is_not_stored():
    with pytest.raises(ValueError, match="Invalid decoder: none of 160 outputs for 8 s of noise"):
        pack_golden(times(np.nan), 0)


def moving(*stages, network="wiener", **settings):
    """A decoder of movement with weights of nothing."""
    from ranvier.networks import make_network

    made = make_network(network, ("a", "b"), settings)
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    return rv.Decoder("movement", stages, ("a", "b"), 20.0, network, settings, weights)


def test_the_stored_answer_of_a_stage_that_settles_is_a_number():
    decoder = moving({"stage": "running_scale", "settling": 10.0}, window=4)
    packed = pack_golden(decoder._golden_pipeline(), decoder.warm_up)
    with np.load(io.BytesIO(packed)) as stored:
        assert 0.3 < np.isfinite(stored["logits"]).mean() < 0.6


@pytest.mark.parametrize("unit", ["V", "mV", "count", "z"])
def test_a_stream_in_another_unit_is_refused(decoder, unit):
    with pytest.raises(ValueError, match=f"Invalid unit: '{unit}', possible options"):
        decoder.bind(Layout(LABELS, 256.0, unit))


@pytest.mark.parametrize("unit", ["count", "µV", "uV"])
def test_movement_is_decoded_from_counts_or_microvolts(unit):
    assert moving(window=4).bind(Layout(("a", "b"), 20.0, unit)).rate == 20.0


def test_a_recording_in_volts_is_decoded_as_one_in_microvolts(decoder, recordings):
    short = recordings[7].until(20)
    volts = short.read().astype(float) * 1e-6
    found = decoder.predict(rv.Recording.from_array(volts, 256, LABELS, unit="V"))
    np.testing.assert_allclose(found.values, decoder.predict(short).values, atol=1e-5)


def test_a_measured_rate_may_differ_by_little():
    layout = Layout(("a", "b"), 20.0000001, COUNT)
    assert moving(window=4).bind(layout).rate == layout.rate
    with pytest.raises(ValueError, match="Invalid rate for the decoder"):
        moving(window=4).bind(replace(layout, rate=20.1))


def test_a_chunk_may_be_a_list():
    chain = moving(window=1).bind(Layout(("a", "b"), 20.0, COUNT))
    output, _ = chain.step([[[1, 2], [3, 4]]], chain.initial_state(1))
    assert output.values.shape[:2] == (1, 2)


def test_a_chunk_of_another_batch_than_the_state_is_refused(decoder):
    chain = decoder.bind(Layout(LABELS, 256.0))
    with pytest.raises(ValueError, match=r"Invalid chunk: shape \(2, 5, 19\), must be .* of 1, as"):
        chain.step(np.zeros((2, 5, 19)), chain.initial_state(1))


@pytest.mark.parametrize("hop", [64 / 200, 100 / 250, 1000 / 250, 7 / 256])
def test_the_confidence_of_an_event_is_its_peak_for_any_hop(hop):
    stage = Alarm(Layout(("p",), 1 / hop), 1024 / 250, AlarmRule(0.5, 0.8, 0.0, 0.0))
    probabilities = np.tile([0.1, 0.6, 0.6, 0.99, 0.1], 200)
    rows, _ = stage.step(probabilities[None, :, None], stage.initial_state(1))
    for known in (np.arange(1000) * stage.hop, np.arange(1000) / stage.rate):
        found = events_of(rows[0], probabilities, stage.first + known)
        assert {one.confidence for one in found} == {0.99}
