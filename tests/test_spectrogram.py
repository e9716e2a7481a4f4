"""A spectrogram shows the power where it is, in the unit it says, and nothing where nothing was."""

import numpy as np
import pytest

from ranvier.recording import Recording
from ranvier.spectrogram import SEGMENT, spectrogram

RATE = 100.0
PICKED = ({"stage": "pick", "channels": ["Fpz-Cz"]},)


def recorded(signal, channels=("Fpz-Cz",)) -> Recording:
    return Recording.from_array(np.reshape(signal, (-1, len(channels))), RATE, channels)


def noise(seconds: float, deviation: float = 20.0):
    return np.random.default_rng(0).normal(0, deviation, round(seconds * RATE))


def test_white_noise_has_its_variance_spread_over_all_frequencies():
    found = spectrogram(recorded(noise(3000)))
    assert np.mean(10 ** (found.power / 10)) == pytest.approx(20.0**2 / (RATE / 2), rel=0.02)


@pytest.mark.parametrize("hertz", [1.0, 10.0, 20.0])
def test_a_wave_stands_at_its_frequency(hertz):
    wave = 50 * np.sin(2 * np.pi * hertz * np.arange(60 * RATE) / RATE)
    found = spectrogram(recorded(wave + noise(60, 1.0)))
    highest = found.frequencies[found.power.argmax(axis=1)]
    np.testing.assert_allclose(highest, hertz, atol=2.5 / SEGMENT)


def test_epochs_with_a_gap_keep_what_is_valid_and_empty_ones_are_unknown():
    signal = noise(90)
    signal[3200:3300] = np.nan
    signal[6000:] = np.nan
    power = spectrogram(recorded(signal)).power
    assert not np.isnan(power[:2]).any()
    assert np.isnan(power[2]).all()


def test_a_signal_that_stands_still_has_a_floor():
    assert np.isfinite(spectrogram(recorded(np.zeros(6000))).power).all()


def test_what_the_stages_give_is_analysed():
    both = np.stack([noise(60), np.zeros(6000)], axis=1)
    found = spectrogram(recorded(both, ("EOG", "Fpz-Cz")), PICKED)
    assert found.channel == "Fpz-Cz"
    assert found.power.max() == found.power.min()


def test_a_recording_shorter_than_an_epoch_has_none():
    assert spectrogram(recorded(noise(20))).power.shape[0] == 0


def test_features_and_short_epochs_are_refused():
    with pytest.raises(ValueError, match="Invalid epoch: 2 s, must be at least 5 s"):
        spectrogram(recorded(noise(60)), epoch=2)
    with pytest.raises(ValueError, match="they give features"):
        spectrogram(recorded(noise(60)), [{"stage": "spectrum", "features": 10}])
