"""Live: the same answer as for the file, with its age told."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

import ranvier as rv
from ranvier.commands import Note
from ranvier.commands.live import live
from ranvier.live import runner
from ranvier.live.runner import certify, latencies, run
from ranvier.live.sources import Block, Replay
from ranvier.recording import COUNT, Layout


@dataclass
class Sent:
    """A source of blocks that were made before."""

    layout: Layout
    sent: list[Block]

    def blocks(self):
        return iter(self.sent)


def block(recording, first, last):
    return Block(recording.reader(first, last), time.monotonic(), first)


def test_file_and_stream_agree(decoder, recordings):
    certified = certify(decoder, recordings[7])
    assert certified.equal
    assert certified.outputs == 180
    assert certified.resumes > 0


@pytest.mark.parametrize("seed", range(3))
def test_any_cut_is_certified(decoder, recordings, seed):
    assert certify(decoder, recordings[0].until(40), seed=seed).difference <= 1e-6


def test_messages_are_the_prediction(decoder, recordings):
    recording = recordings[7].until(60)
    messages = list(run(decoder, Replay(recording, speed=0)))
    offline = decoder.predict(recording)
    found = np.array([one.answer["probability"] if one.valid else np.nan for one in messages])
    np.testing.assert_allclose(found, offline.probability, atol=1e-6)
    assert [one.time for one in messages] == pytest.approx(offline.times)


def test_a_message_that_is_not_valid_has_no_probability(decoder, recordings):
    first = next(run(decoder, Replay(recordings[7].until(10), speed=0)))
    assert not first.valid
    assert (first.answer["probability"], first.answer["alarm"]) == (None, False)


def test_replay_keeps_to_its_speed(decoder, recordings):
    messages = list(run(decoder, Replay(recordings[7].until(4), speed=8.0)))
    assert all(message.age_seconds >= 0 for message in messages)
    assert len(messages) == 4


def test_an_alarm_tells_its_event_so_far(decoder, recordings):
    messages = [one.as_dict() for one in run(decoder, Replay(recordings[7], speed=0))]
    assert all(one["onset"] < one["end"] <= one["time"] for one in messages if one["alarm"])


def test_a_chunk_that_leaks_is_not_certified(decoder, recordings, monkeypatch):
    from ranvier.features import Spectrum

    honest = Spectrum.advance

    def leaking(self, chunk, state):
        output, state = honest(self, chunk, state)
        return output * np.linspace(1, 2, output.shape[-1], dtype=np.float32) ** chunk.shape[
            1
        ], state

    monkeypatch.setattr(Spectrum, "advance", leaking)
    with np.errstate(all="ignore"):
        assert not certify(decoder, recordings[7].until(60)).equal


@pytest.mark.parametrize("options", [{"speed": -1}, {"chunk": 0}])
def test_impossible_replays_are_refused(recordings, options):
    with pytest.raises(ValueError, match="Invalid speed or chunk"):
        Replay(recordings[0], **options)


def test_latencies_are_percentiles(decoder, recordings):
    messages = list(run(decoder, Replay(recordings[7].until(20), speed=0)))
    found = latencies(messages)["compute_seconds"]
    assert 0 < found["p50"] <= found["p95"] <= found["p99"]


def test_a_layout_that_cannot_be_decoded_is_refused(decoder):
    recording = rv.Recording.from_array(np.zeros((2560, 1)), 256, ["ECG"])
    with pytest.raises(ValueError, match="No usable lead"):
        next(run(decoder, Replay(recording, speed=0)))


def test_an_age_counts_from_the_last_sample_that_an_answer_looks_at(decoder, recordings):
    recording = recordings[7].until(20)
    began = time.monotonic()
    messages = list(run(decoder, Sent(recording.layout, [block(recording, 0, 20 * 256)])))
    spent = time.monotonic() - began
    for one in messages:
        assert 20 - one.time <= one.age_seconds <= 20 - one.time + spent


@pytest.mark.parametrize(
    ("rate", "unit", "samples"),
    [(256.0, "µV", 32), (1000.0, "µV", 125), (2.0, "µV", 1), (20.0, COUNT, 1), (1000.0, COUNT, 10)],
)
def test_samples_arrive_in_blocks_of_a_length_in_time(rate, unit, samples):
    found = rv.Recording.from_array(np.zeros((300, 1)), rate, ["a"], unit=unit)
    blocks = list(Replay(found, speed=0).blocks())
    assert {len(one.signal) for one in blocks[:2]} == {samples}
    assert [one.first for one in blocks[:3]] == [0, samples, 2 * samples]


def test_lost_samples_are_a_gap(decoder, recordings, monkeypatch):
    monkeypatch.setattr(runner, "PIECE", 0.7)
    recording = recordings[7].until(60)
    places = [(0, 5000), (5000, 5100), (7777, 60 * 256)]
    sent = [block(recording, *place) for place in places]
    messages = list(run(decoder, Sent(recording.layout, sent)))
    signal = recording.read()
    signal[5100:7777] = np.nan
    whole = decoder.predict(replace(recording, reader=lambda first, last: signal[first:last]))
    found = [one.answer["probability"] if one.valid else np.nan for one in messages]
    np.testing.assert_allclose(found, whole.probability, atol=1e-6)


@pytest.mark.parametrize("first", [255, 0, 256 * 3602])
def test_a_block_that_does_not_follow_is_refused(decoder, recordings, first):
    recording = recordings[7]
    sent = [block(recording, 0, 256), replace(block(recording, 0, 256), first=first)]
    with pytest.raises(ValueError, match=f"Invalid block: it begins with sample {first}, must be"):
        list(run(decoder, Sent(recording.layout, sent)))


def test_cuts_may_be_an_array(recordings):
    recording = recordings[0].until(2)
    blocks = list(Replay(recording, speed=0, cuts=np.array([10, 10, 300])).blocks())
    assert [one.first for one in blocks] == [0, 10, 10, 300]
    np.testing.assert_array_equal(np.concatenate([b.signal for b in blocks]), recording.read())


@pytest.mark.parametrize("cuts", [[20, 10], [-1], [513]])
def test_impossible_cuts_are_refused(recordings, cuts):
    with pytest.raises(ValueError, match="Invalid cuts: must be in order and between 0 and"):
        Replay(recordings[0].until(2), cuts=cuts)


@pytest.mark.parametrize(("seconds", "note"), [(0.5, "shorter than one"), (3, "none of 3 outputs")])
def test_a_file_that_says_nothing_is_told_of(tmp_path, decoder_file, recordings, seconds, note):
    short, path = recordings[0].until(seconds), tmp_path / "a.edf"
    rv.write_edf(path, short.read(), short.layout)
    *_, last = live(str(decoder_file), source=f"replay:{path}", speed=0)
    assert isinstance(last, Note)
    assert note in last.text


def test_single_sites_are_certified_as_well(decoder, recordings, monkeypatch):
    honest, calls = decoder.predict, []

    def otherwise(self, recording):
        found = honest(recording)
        calls.append(recording)
        return replace(found, sites=found.sites + 2e-5)

    certified = certify(decoder, recordings[7].until(40))
    assert certified.equal
    assert certified.sites < 1e-5
    monkeypatch.setattr(type(decoder), "predict", otherwise)
    assert not certify(decoder, recordings[7].until(40)).equal
