"""A decoder in C says what the one in Python says, however the signal is cut and spoilt."""

from dataclasses import replace

import numpy as np
import pytest
from c_decoder import (
    assert_same,
    exported,
    library,
    median_of,
    needs_cc,
    noise,
    recording_of,
    rest_decoder,
    with_gaps,
)

from ranvier.alarms import AlarmRule
from ranvier.channels import TEN_TWENTY
from ranvier.simulate import simulate_patient
from ranvier.tasks.seizure import STAGES

pytestmark = needs_cc
CLIP = {"memory": "clip", "clip": 5}


def changed(number, **settings):
    return [{**stage, **settings} if i == number else stage for i, stage in enumerate(STAGES)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"update": "always", "repeats": (1, 4)},
        {"classes": 2, "hidden": 18},
        {"normalise": "none", "bound": float("inf"), **CLIP},
        {"bound": 0.4, "warm_up": 0},
        CLIP,
    ],
    ids=str,
)
def test_probabilities_and_alarms_are_those_of_python(tmp_path, settings):
    signal = with_gaps(noise(90))
    decoder = rest_decoder(**settings)
    answers = library(decoder, tmp_path).answers(signal)
    assert np.isnan(answers["probability"]).any()
    assert_same(decoder.predict(recording_of(signal)), answers)


@pytest.mark.parametrize(
    ("rate", "wanted", "features"), [(200, 200, 100), (250, 128, 64), (512, 150, 70), (250, 243, 9)]
)
def test_any_rate_gives_the_spectra_of_python(tmp_path, rate, wanted, features):
    stages = [dict(stage) for stage in changed(2, rate_out=float(wanted))]
    stages[4]["features"] = features
    decoder = rest_decoder(stages=stages, features=features)
    signal = noise(40, rate=rate)
    made = library(decoder, tmp_path, rate=rate)
    assert_same(decoder.predict(recording_of(signal, rate)), made.answers(signal))


@pytest.mark.parametrize("memory", [{}, CLIP], ids=["carried", "clips"])
@pytest.mark.parametrize("buffers", ["float32", "int16"])
def test_cuts_do_not_change_one_bit(tmp_path, memory, buffers):
    signal = with_gaps(noise(30))
    made = library(rest_decoder(**memory), tmp_path, buffers=buffers)
    whole = made.answers(signal)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(signal), 900))
    for name, values in made.answers(signal, cuts).items():
        np.testing.assert_array_equal(values, whole[name])


@pytest.mark.parametrize("lead", [0, 7])
def test_what_is_infinite_or_huge_spoils_no_more_than_in_python(tmp_path, lead):
    signal = noise(60)
    signal[3000, lead], signal[6000:6003, lead], signal[9000, lead] = np.inf, 1e30, -np.inf
    decoder = rest_decoder()
    answers = library(decoder, tmp_path).answers(signal)
    assert_same(decoder.predict(recording_of(signal)), answers)


def test_what_a_filter_cannot_hold_is_left_out_as_in_python(tmp_path):
    signal, stages = noise(60), rest_decoder().stages
    signal[3000, 0], signal[6000:6003, 0], signal[9000, 0] = np.inf, 2e37, -np.inf
    first = [{"stage": "filter", "low": 0.5, "high": 40.0}, *stages]
    decoder = rest_decoder(stages=first)
    answers = library(decoder, tmp_path).answers(signal)
    assert_same(decoder.predict(recording_of(signal)), answers)


@pytest.mark.parametrize("flags", [(), ("-DSMALL_WIDE=float",)], ids=str)
@pytest.mark.parametrize("low", [None, 0.5])
def test_one_wild_first_sample_is_forgotten_as_in_python(tmp_path, low, flags):
    signal, stages = noise(90), rest_decoder().stages
    signal[0] = 1e9
    first = [{"stage": "filter", "low": low, "high": 40.0}, *stages]
    decoder = rest_decoder(stages=first, memory="clip", clip=5, warm_up=0)
    found = library(decoder, tmp_path, *flags).answers(signal)["probability"][-30:]
    expected = decoder.predict(recording_of(signal)).probability[-30:]
    np.testing.assert_allclose(found, expected, atol=5e-3 if flags else 1e-4)


def test_large_offsets_do_not_matter(tmp_path):
    rng, decoder = np.random.default_rng(0), rest_decoder()
    signal = noise(60) + rng.normal(0, 20_000, 19).astype(np.float32)
    recording, found = recording_of(signal), library(decoder, tmp_path).answers(signal)
    assert_same(decoder.predict(in_float64(recording)), found)
    # At 20,000 µV a sample in float32 has steps of 0.002 µV, which the resampler adds up.
    assert_nearly_same(decoder.predict(recording), found, others=1 / 60)


def test_the_layout_is_what_is_asked_for(tmp_path):
    channels = ("Fp1-F7", "T8", "ECG", "F7-T7", "Fp2", "F8", "F4", "O2", "P4", "T7-P7")
    signal, decoder = noise(40, channels=10), rest_decoder()
    made = library(decoder, tmp_path, channels=channels)
    assert made.channels == 10
    assert_same(decoder.predict(recording_of(signal, 256, channels)), made.answers(signal))


def test_all_other_stages_are_those_of_python(tmp_path):
    stages = [
        {"stage": "pick", "channels": TEN_TWENTY[3:12]},
        {"stage": "filter", "low": None, "high": 40.0},
        {"stage": "resample", "rate_out": 100.0},
        {"stage": "filter", "low": 1.0, "high": 30.0, "order": 3},
        {"stage": "standardise", "mean": list(range(9)), "deviation": [*range(1, 9), 0]},
        {"stage": "spectrum", "features": 40},
        {"stage": "standardise", "mean": [1.0], "deviation": [2.0]},
    ]
    decoder = rest_decoder(stages=stages, channels=TEN_TWENTY[3:12], features=40)
    signal = noise(60)
    signal[5000:6000, 2:9] = np.nan
    made = library(decoder, tmp_path, channels=TEN_TWENTY)
    assert_same(decoder.predict(recording_of(signal)), made.answers(signal))


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({"weights": "int16"}, 1e-3),
        ({"weights": "int8"}, 0.1),
        ({"buffers": "int16"}, 1e-2),
        ({"buffers": "int16", "weights": "int8"}, 0.1),
    ],
    ids=str,
)
@pytest.mark.parametrize("memory", [{}, CLIP], ids=["carried", "clips"])
def test_fewer_bits_are_near(tmp_path, options, largest, memory):
    signal, decoder = noise(60), rest_decoder(**memory)
    answers = library(decoder, tmp_path, **options).answers(signal)
    expected = decoder.predict(recording_of(signal)).probability
    np.testing.assert_allclose(answers["probability"], expected, atol=largest, rtol=0)
    assert np.nanstd(expected) > 0.01


@pytest.mark.parametrize("weights", ["float32", "int16", "int8"])
def test_with_and_without_vectors_it_says_the_same(tmp_path, weights):
    signal, answers = noise(40), []
    for flags in (("-U__SSE2__", "-O2"), ("-O2",), ("-O3", "-march=native", "-ffp-contract=fast")):
        folder = tmp_path / str(len(flags))
        made = library(rest_decoder(hidden=20), folder, *flags, weights=weights)
        answers.append(made.answers(signal)["probability"])
    np.testing.assert_allclose(answers, answers[:1] * 3, atol=1e-4, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_alarms_follow_their_rule(tmp_path, seed):
    rng = np.random.default_rng(seed)
    seconds = dict(zip(("minimum", "merge", "refractory"), rng.integers(0, 12, 3), strict=True))
    rule = AlarmRule(0.5, 0.7, **{f"{name}_seconds": float(n) for name, n in seconds.items()})
    signal, decoder = noise(240, seed=seed), rest_decoder(rule=rule, warm_up=0)
    decoder = replace(decoder, rule=replace(rule, threshold=median_of(decoder, signal)))
    prediction = decoder.predict(recording_of(signal))
    assert_same(prediction, library(decoder, tmp_path).answers(signal))
    assert len(prediction.alarms)


@pytest.mark.parametrize("options", [{}, {"buffers": "int16"}], ids=str)
@pytest.mark.parametrize("memory", [{}, CLIP], ids=["carried", "clips"])
def test_the_sizes_that_are_told_are_those_of_the_compiler(tmp_path, options, memory):
    decoder = rest_decoder(**memory)
    told = {name: size for name, size, _ in exported(decoder, tmp_path, **options).rows}
    made = library(decoder, tmp_path, **options)
    assert (told["state"], told["scratch"]) == (made.state_bytes, made.scratch_bytes)


def test_rest_is_small(tmp_path):
    decoder = rest_decoder()
    one, other = (
        {name: size for name, size, _ in exported(decoder, tmp_path, buffers=buffers).rows}
        for buffers in ("float32", "int16")
    )
    assert one["constants"] < 48_000
    assert one["state"] <= 24_000
    assert other["state"] <= 16_000
    assert 300_000 < one["operations of rest"] < 400_000


def in_float64(recording):
    """Return a recording whose samples are filtered and resampled as float64."""
    return replace(recording, reader=lambda *span: recording.reader(*span).astype(float))


def assert_nearly_same(prediction, found, *, others):
    """Hold all to 1e-3, and to 1e-4 all but a share of others."""
    assert_same(prediction, found, atol=1e-3)
    assert np.mean(np.abs(prediction.probability - found["probability"]) > 1e-4) <= others


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-O3", "-march=native", "-ffp-contract=fast")], ids=str)
def test_an_hour_has_the_probabilities_and_alarms_of_python(tmp_path, decoder, flags):
    made = library(decoder, tmp_path, *flags)
    for recording in simulate_patient(9, minutes=60, seed=9):
        found = made.answers(recording.read())
        assert_same(decoder.predict(in_float64(recording)), found, atol=1e-5)
        # Where a frequency is missing by chance, float32 has few digits of its logarithm.
        assert_nearly_same(decoder.predict(recording), found, others=1e-3)
