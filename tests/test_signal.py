"""What the stages do to a signal, against independent forms."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from scipy import signal as reference

from ranvier.features import ScalePerStep, Spectrum, Standardise
from ranvier.recording import Layout
from ranvier.signal import Filter, MarkFlat, Resample
from ranvier.streaming import LARGEST

ONE = Layout(("Cz",), 256.0)


def run(stage, signal, kind=float):
    chunk = np.asarray(signal, dtype=kind)[None, :, None]
    return stage.step(chunk, stage.initial_state(1))[0][0]


def sine(hertz: float, rate: float, seconds: float = 8.0, shift: float = 0.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * (np.arange(round(seconds * rate)) / rate - shift))


@pytest.mark.parametrize("rate_out", [200.0, 100.0, 128.0, 256.0])
@pytest.mark.parametrize("hertz", [1.0, 10.0, 35.0])
def test_resampling_keeps_a_sine_and_delays_it_as_declared(rate_out, hertz):
    stage = Resample(ONE, rate_out)
    found = run(stage, sine(hertz, 256.0))[:, 0]
    expected = sine(hertz, rate_out, shift=stage.delay)
    late = round(0.5 * rate_out)
    np.testing.assert_allclose(found[late:], expected[late : len(found)], atol=5e-3)


def test_resampling_takes_away_what_the_lower_rate_cannot_hold():
    found = run(Resample(ONE, 100.0), sine(65.0, 256.0))
    assert np.abs(found[50:]).max() < 0.01


@pytest.mark.parametrize("hertz", [50.0, 80.0, 95.0])
def test_what_comes_out_does_not_depend_on_the_rate_that_came_in(hertz):
    found = []
    for rate in (200.0, 250.0, 256.0, 500.0, 512.0):
        output = run(Resample(Layout(("Cz",), rate)), sine(hertz, rate))
        found.append(np.abs(output[200:1400]).max())
    assert np.ptp(found) < 0.02


def test_resampling_is_that_of_scipy():
    stage = Resample(ONE, 200.0)
    noise = np.random.default_rng(0).normal(size=2560)
    whole = reference.resample_poly(noise, 25, 32, window=stage.taps / 25)
    found = run(stage, noise)[:, 0]
    lag = stage.delay * 200
    assert lag == pytest.approx(10)
    np.testing.assert_allclose(found[40:1900], whole[30:1890], atol=1e-9)


def test_an_output_is_known_as_soon_as_the_input_has_reached_its_second():
    stage = Resample(ONE, 200.0)
    assert [stage.outputs(n) for n in (0, 1, 2, 3, 256, 257, 258)] == [0, 1, 1, 2, 200, 201, 201]


def test_a_constant_stays_itself_from_the_first_output():
    np.testing.assert_allclose(run(Resample(ONE, 200.0), np.full(600, 7.0)), 7.0, rtol=2e-3)


@pytest.mark.parametrize(
    ("edges", "kind"),
    [((0.5, 40.0), "bandpass"), ((1.0, None), "highpass"), ((None, 30.0), "lowpass")],
)
def test_filtering_is_that_of_scipy_started_in_the_steady_state(edges, kind):
    noise = np.random.default_rng(0).normal(3.0, 1.0, 1000)
    band = [edge for edge in edges if edge is not None]
    wanted = band if len(band) == 2 else band[0]
    sections = reference.butter(3, wanted, kind, fs=256.0, output="sos")
    start = reference.sosfilt_zi(sections) * noise[0]
    expected, _ = reference.sosfilt(sections, noise, zi=start)
    found = run(Filter(ONE, low=edges[0], high=edges[1], order=3), noise)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "order", "rate"),
    [(0.5, 40.0, 2, 256.0), (None, 0.5, 8, 256.0), (1.0, 5.83, 1, 100.0), (0.1, 30.0, 4, 2000.0)],
)
def test_a_filter_of_any_band_and_order_is_that_of_scipy(low, high, order, rate):
    stage = Filter(Layout(("Cz",), rate), low, high, order)
    noise = np.cumsum(np.random.default_rng(0).normal(size=5000))
    noise -= noise[0]
    expected = reference.sosfilt(stage.sections, noise)
    np.testing.assert_allclose(run(stage, noise)[:, 0], expected, atol=1e-8 * np.std(noise))


@pytest.mark.parametrize("make", [Filter, Resample])
def test_float32_stays_float32_and_as_exact_as_what_came_in(make):
    stage = make(ONE)
    noise = np.random.default_rng(0).normal(size=(1, 5000, 1)).astype(np.float32)
    found, _ = stage.step(noise, stage.initial_state(1))
    expected, _ = stage.step(noise.astype(float), stage.initial_state(1))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 5, 19, 64])
@pytest.mark.parametrize("stage_of", [Filter, lambda layout: Resample(layout, 100.0)])
def test_any_cut_gives_the_same_bits_for_any_number_of_channels(stage_of, channels, kind):
    rng = np.random.default_rng(channels)
    stage = stage_of(Layout(tuple(map(str, range(channels))), 256.0))
    signal = rng.normal(size=(2, 1500, channels)).astype(kind)
    cuts, state, parts = sorted(rng.integers(0, 1500, 40)), stage.initial_state(2), []
    for part in np.split(signal, cuts, axis=1):
        output, state = stage.step(part, state)
        parts.append(output)
    whole, _ = stage.step(signal, stage.initial_state(2))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_how_a_chunk_lies_in_memory_changes_no_bit():
    stage = Filter(Layout(("Fp1", "Fp2"), 256.0))
    chunk = np.random.default_rng(0).normal(size=(1, 700, 2))
    found, _ = stage.step(np.asfortranarray(chunk), stage.initial_state(1))
    np.testing.assert_array_equal(found, stage.step(chunk, stage.initial_state(1))[0])


@pytest.mark.parametrize("value", [np.inf, np.finfo(np.float32).max, 2e37])
def test_a_sample_that_is_too_large_is_as_one_that_is_not_there(value):
    noise = np.random.default_rng(0).normal(size=600)
    lost, endless = noise.copy(), noise.copy()
    lost[[0, 200, 599]], endless[[0, 200, 599]] = np.nan, [value, -value, value]
    found, expected = (run(Filter(ONE), one, np.float32) for one in (endless, lost))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("edges", [(0.5, 40.0), (1.0, None), (None, 30.0)])
@pytest.mark.parametrize("wild", [1e9, 4.5e6, -0.9 * LARGEST])
def test_one_wild_sample_at_the_start_is_forgotten_as_later_ones_are(edges, wild):
    noise = np.random.default_rng(0).normal(0.0, 30.0, 256 * 40)
    noise[0] = wild
    stage = Filter(ONE, *edges)
    start = reference.sosfilt_zi(stage.sections) * wild
    expected, _ = reference.sosfilt(
        stage.sections, noise.astype(np.float32).astype(float), zi=start
    )
    found = run(stage, noise, np.float32)[:, 0]
    np.testing.assert_allclose(found[256 * 30 :], expected[256 * 30 :], atol=1e-4)


@pytest.mark.parametrize("edges", [(0.5, 40.0), (0.1, None)])
@pytest.mark.parametrize("late", [0, 5 * 256 + 77])
def test_a_large_offset_costs_no_digits(edges, late):
    noise = np.random.default_rng(0).normal(0.0, 30.0, 256 * 40)
    offset = np.float32(1e5) + np.where(np.arange(len(noise)) < late, 3e4, 0)
    signal = (noise + offset).astype(np.float32)
    stage = Filter(ONE, *edges)
    start = reference.sosfilt_zi(stage.sections) * signal[0]
    expected, _ = reference.sosfilt(stage.sections, signal.astype(float), zi=start)
    found = run(stage, signal, np.float32)[:, 0]
    np.testing.assert_allclose(found[late and 256 * 30 :], expected[late and 256 * 30 :], atol=1e-4)


@pytest.mark.parametrize("order", [1, 2, 8])
def test_a_filter_forgets_the_largest_samples_that_it_takes(order):
    samples = np.full(100_000, 0.99 * LARGEST)
    samples[3:] = 0
    assert np.isfinite(run(Filter(ONE, order=order), samples, np.float32)).all()


def test_the_state_of_a_filter_stays_small_however_long_it_runs():
    stage = Filter(ONE)
    _, state = stage.step(np.zeros((1, 256 * 60, 1)), stage.initial_state(1))
    assert sum(part.nbytes for part in state) < 100
    assert all(part.base is None for part in state[:2])


@pytest.mark.parametrize(("high", "order"), [(0.002, 12), (1e-13, 1), (1e-13, 2)])
def test_a_filter_that_would_grow_without_end_is_refused(high, order):
    stage = Filter(Layout(("Cz",), 30000.0), low=None, high=high, order=order)
    with pytest.raises(ValueError, match="sections that grow without end"):
        stage.initial_state(1)


def test_an_offset_makes_no_transient():
    assert np.abs(run(Filter(ONE), np.full(500, 1e5))).max() == 0.0
    np.testing.assert_allclose(run(Filter(ONE, low=None), np.full(500, 1e5)), 1e5)


def test_a_filter_goes_on_after_a_gap_as_if_the_last_value_had_lasted():
    noise = np.random.default_rng(0).normal(size=600)
    broken, held = noise.copy(), noise.copy()
    broken[200:260], held[200:260] = np.nan, noise[199]
    found, expected = run(Filter(ONE), broken), run(Filter(ONE), held)
    assert np.isnan(found[200:260]).all()
    np.testing.assert_array_equal(found[260:], expected[260:])


@pytest.mark.parametrize("edges", [(0.0, 40.0), (40.0, 1.0), (1.0, 128.0), (None, None)])
def test_impossible_pass_bands_are_refused(edges):
    with pytest.raises(ValueError, match="Invalid pass band"):
        Filter(ONE, low=edges[0], high=edges[1])


@pytest.mark.parametrize("order", [0, -1, 1.5, 100_000, "2"])
def test_impossible_orders_of_filters_are_refused(order):
    with pytest.raises(ValueError, match=f"Invalid order: {order!r}, must be a whole number from"):
        Filter(ONE, order=order)


def test_the_declared_delay_of_a_filter_is_its_group_delay_in_mid_band():
    stage = Filter(ONE, low=None, high=20.0, order=4)
    form = reference.sos2tf(stage.sections)
    _, (samples,) = reference.group_delay(form, [10.0], fs=256.0)
    assert stage.delay == pytest.approx(samples / 256.0, rel=1e-3)


def test_each_step_is_the_spectrum_of_its_own_second():
    layout = Layout(("Cz",), 200.0)
    noise = np.random.default_rng(0).normal(size=600)
    found = run(Spectrum(layout), noise)[:, 0]
    for step in range(3):
        second = noise[step * 200 : (step + 1) * 200]
        waves = np.exp(-2j * np.pi * np.outer(np.arange(100), np.arange(200)) / 200)
        np.testing.assert_allclose(found[step], np.log(abs(waves @ second)), atol=1e-4)


def test_a_rhythm_stands_in_the_bin_of_its_frequency():
    found = run(Spectrum(Layout(("Cz",), 200.0)), sine(7.0, 200.0))
    assert (found[:, 0].argmax(axis=1) == 7).all()


def test_scaling_each_step_leaves_mean_0_and_deviation_1():
    features = np.random.default_rng(0).normal(3, 9, (1, 4, 1, 100))
    scaled, _ = ScalePerStep(Layout(("Cz",), 1.0)).step(features, ())
    np.testing.assert_allclose(scaled.mean(axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=-1, ddof=1), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, -69.0775, 0.1])
def test_a_flat_node_becomes_zeros_whatever_its_value(value):
    features = np.full((1, 1, 1, 100), value, dtype=np.float32)
    assert not ScalePerStep(Layout(("Cz",), 1.0)).step(features, ())[0].any()


def test_standardising_uses_the_statistics_it_was_fitted_to():
    chunks = [np.random.default_rng(k).normal(5, 3, (1, 50, 2, 4)) for k in range(3)]
    chunks[0][0, :10] = np.nan
    stage = Standardise(Layout(("Cz", "Pz"), 1.0), **Standardise.fit(chunks))
    scaled = np.concatenate([stage.step(chunk, ())[0] for chunk in chunks], axis=1)
    np.testing.assert_allclose(np.nanmean(scaled, axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(scaled, axis=(0, 1)), 1, rtol=1e-5)


def test_whole_numbers_are_marked_as_other_samples_are():
    signal = np.repeat(np.arange(9), 6)
    found = run(MarkFlat(ONE, seconds=4 / 256), signal, np.int16)
    np.testing.assert_array_equal(found, run(MarkFlat(ONE, seconds=4 / 256), signal))


def test_a_lead_is_flat_once_it_has_not_changed_for_so_long():
    signal = np.arange(40.0)
    signal[10:35] = 9.0
    flat = np.isnan(run(MarkFlat(ONE, seconds=10 / 256), signal)[:, 0])
    assert np.flatnonzero(flat).tolist() == list(range(19, 35))


def _flat(signal: np.ndarray, count: int) -> list[bool]:
    """Return where as many samples as count have each been what the one before was."""
    unchanged, found = 0, []
    for sample, before in zip(signal, [np.nan, *signal], strict=False):
        unchanged = unchanged + 1 if sample == before else 0
        found.append(unchanged >= count)
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 100])
def test_marks_are_those_of_counting_one_by_one_wherever_the_signal_is_cut(count):
    rng = np.random.default_rng(count)
    stage = MarkFlat(Layout(("Fp1", "Fp2", "Cz"), 256.0), seconds=count / 256)
    signal = rng.integers(0, 2, (2, 500, 3)).astype(float)
    signal[0, 100:260, 1], signal[1, :150, 2], signal[:, 300:320, 0] = 5.0, 5.0, np.nan
    state, parts = stage.initial_state(2), []
    for part in np.split(signal, sorted(rng.integers(0, 500, 9)), axis=1):
        output, state = stage.step(part, state)
        parts.append(output)
    marked = np.isnan(np.concatenate(parts, axis=1))
    for row, channel in np.ndindex(2, 3):
        expected = _flat(signal[row, :, channel], count) | np.isnan(signal[row, :, channel])
        np.testing.assert_array_equal(marked[row, :, channel], expected)


STEPS = """
import resource
import numpy as np
from ranvier import Layout
from ranvier.channels import TEN_TWENTY
from ranvier.recipe import packaged_recipe
from ranvier.stages import build

pipeline = build(packaged_recipe("seizure", "rest").stages, Layout(tuple(TEN_TWENTY), 256.0))
chunk = np.random.default_rng(0).normal(0, 20, (1, 60 * 256, len(TEN_TWENTY))).astype(np.float32)
state, faults = pipeline.initial_state(1), []
for _ in range(14):
    _, state = pipeline.step(chunk, state)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[3])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have other rules")
def test_a_step_takes_the_memory_that_the_steps_before_have_freed():
    usual = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    words = [sys.executable, "-c", STEPS]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=usual)
    assert int(done.stdout) < 1000
