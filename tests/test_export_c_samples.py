"""Networks of samples in C say what those in Python say: ARNN, the LSTM and Inception."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from c_decoder import (
    STRICT,
    assert_same,
    exported,
    library,
    median_of,
    needs_cc,
    noise,
    recording_of,
    sample_decoder,
    with_gaps,
)

FORMS = {
    "ARNN carried": ("arnn", {"memory": "carry"}),
    "ARNN": ("arnn", {}),
    "ARNN in windows that overlap": ("arnn", {"hop": 384, "classes": 2}),
    "ARNN of odd sizes": (
        "arnn",
        {"segment": 25, "window": 400, "hop": 150, "hidden": 18, "heads": 3, "head_size": 4},
    ),
    "LSTM carried": ("lstm", {"memory": "carry", "warm_up": 16}),
    "LSTM": ("lstm", {"hidden": 18, "layers": 2}),
    "LSTM in windows that overlap": ("lstm", {"hop": 300, "classes": 2}),
    "Inception": ("inception", {"window": 256, "hop": 250}),
    "Inception of odd sizes": (
        "inception",
        {"window": 301, "pooling": ("average",), "double": True, "classes": 1},
    ),
}
pytestmark = needs_cc
each_form = pytest.mark.parametrize("form", FORMS)


def seconds(form):
    """Return how much signal there is time for."""
    return 40 if form.startswith("Inception") else 120


def made(form, **options):
    network, settings = FORMS[form]
    return sample_decoder(network, **settings, **options)


@each_form
def test_probabilities_are_those_of_python_through_gaps_and_missing_leads(tmp_path, form):
    signal, decoder = with_gaps(noise(seconds(form))), made(form)
    answers = library(decoder, tmp_path).answers(signal)
    assert 0.1 < np.isnan(answers["probability"]).mean() < 0.8
    assert np.nanstd(answers["probability"]) > 0.01
    assert_same(decoder.predict(recording_of(signal)), answers)


@each_form
def test_alarms_are_those_of_python(tmp_path, form):
    signal, decoder = noise(seconds(form), seed=3), made(form)
    rule = replace(decoder.rule, threshold=median_of(decoder, signal), minimum_seconds=0.2)
    decoder = replace(decoder, rule=rule)
    prediction = decoder.predict(recording_of(signal))
    assert_same(prediction, library(decoder, tmp_path).answers(signal))
    assert len(prediction.alarms)


@each_form
def test_cuts_do_not_change_one_bit(tmp_path, form):
    signal = with_gaps(noise(30))
    compiled = library(made(form), tmp_path)
    whole = compiled.answers(signal)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(signal), 200))
    for name, values in compiled.answers(signal, cuts).items():
        np.testing.assert_array_equal(values, whole[name])


@each_form
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_the_program_is_clean_under_sanitizers(tmp_path, form, weights):
    signal = with_gaps(noise(20))
    signal[300, 3], signal[400, 4], signal[500, 5] = np.inf, 1e35, -3e38
    files = exported(made(form), tmp_path, weights=weights).files[1:]
    checks = ("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")
    words = ["cc", *STRICT, "-O1", *checks, *map(str, files), "-o", str(tmp_path / "example")]
    subprocess.run(words, check=True)
    (tmp_path / "samples.f32").write_bytes(signal.tobytes())
    words = [str(tmp_path / "example"), str(tmp_path / "samples.f32")]
    assert subprocess.run(words, capture_output=True, check=True).stdout


@each_form
@pytest.mark.parametrize(("weights", "largest"), [("int16", 1e-3), ("int8", 0.1)])
def test_fewer_bits_are_near(tmp_path, form, weights, largest):
    signal, decoder = noise(40), made(form)
    answers = library(decoder, tmp_path, weights=weights).answers(signal)
    expected = decoder.predict(recording_of(signal)).probability
    np.testing.assert_allclose(answers["probability"], expected, atol=largest, rtol=0)


@each_form
def test_with_and_without_vectors_it_says_the_same(tmp_path, form):
    signal, answers = noise(30), []
    for flags in (("-U__SSE2__", "-O2"), ("-O3", "-march=native", "-ffp-contract=fast")):
        (folder := tmp_path / flags[0]).mkdir()
        answers.append(library(made(form), folder, *flags).answers(signal)["probability"])
    np.testing.assert_allclose(*answers, atol=1e-4, rtol=0)


@each_form
def test_the_sizes_that_are_told_are_those_of_the_compiler(tmp_path, form):
    told = {name: size for name, size, _ in exported(made(form), tmp_path).rows}
    compiled = library(made(form), tmp_path)
    assert (told["state"], told["scratch"]) == (compiled.state_bytes, compiled.scratch_bytes)


@pytest.mark.parametrize("lead", [0, 7])
@pytest.mark.parametrize("form", ["ARNN carried", "LSTM carried"])
def test_what_is_infinite_or_huge_spoils_no_more_than_in_python(tmp_path, form, lead):
    signal, decoder = noise(60), made(form)
    signal[3000, lead], signal[6000:6003, lead], signal[9000, lead] = np.inf, 1e6, -np.inf
    assert_same(decoder.predict(recording_of(signal)), library(decoder, tmp_path).answers(signal))


def test_windows_are_taken_as_they_are_where_python_does(tmp_path):
    settings = {"window": 256, "pooling": ("max",), "scale_windows": False}
    signal, decoder = with_gaps(noise(60)), sample_decoder("inception", scale=0.1, **settings)
    answers = library(decoder, tmp_path).answers(signal)
    assert_same(decoder.predict(recording_of(signal)), answers)


@pytest.mark.parametrize("largest", [0, 0.7, 1.3, 2, 2.2, 30])
def test_scales_of_attention_of_any_size_are_those_of_python(tmp_path, largest):
    signal, decoder = noise(40), sample_decoder("arnn", memory="carry")
    scales = decoder.weights["cell.scales"] * np.linspace(-largest, largest, 10, dtype=np.float32)
    decoder = replace(decoder, weights={**decoder.weights, "cell.scales": scales})
    answers = library(decoder, tmp_path).answers(signal)
    assert_same(decoder.predict(recording_of(signal)), answers, atol=1e-5)


def test_windows_that_meet_keep_no_more_than_one_segment(tmp_path):
    forms = ("ARNN", "ARNN carried", "LSTM carried")
    rows = (exported(made(form), tmp_path).rows for form in forms)
    states = [{name: size for name, size, _ in each}["state"] for each in rows]
    assert states[0] < 18_000
    assert states[1] < 18_000
    assert states[2] < 4_000


def test_scales_of_attention_that_are_not_finite_are_refused(tmp_path):
    decoder = sample_decoder("arnn")
    scales = np.full_like(decoder.weights["cell.scales"], np.nan)
    decoder = replace(decoder, weights={**decoder.weights, "cell.scales": scales})
    with pytest.raises(ValueError, match="Invalid weights: cell"):
        exported(decoder, tmp_path)


@pytest.mark.parametrize(
    ("network", "settings", "options", "reason"),
    [
        ("arnn", {"hop": 100}, {}, "Invalid hop: 100 cannot be exported to C, must be a multiple"),
        ("arnn", {"context": 2}, {}, "Invalid context: 2 cannot be exported to C, must be 0"),
        ("lstm", {"context": 1}, {}, "Invalid context: 1 cannot be exported to C, must be 0"),
        ("arnn", {}, {"buffers": "int16"}, "Invalid buffers: 'int16', must be 'float32' for arnn"),
        ("lstm", {}, {"buffers": "int16"}, "Invalid buffers: 'int16', must be 'float32' for lstm"),
        ("inception", {"upsample": 2}, {}, "Invalid upsample: 2 cannot be exported to C, must be"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(tmp_path, network, settings, options, reason):
    decoder = sample_decoder(network, **settings)
    with pytest.raises(ValueError, match=reason):
        exported(decoder, tmp_path, **options)
    assert not list(tmp_path.iterdir())
