"""EDF: what is written, and comes back."""

from __future__ import annotations

from datetime import datetime

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier.formats.edf import read_edf, write_edf
from ranvier.recording import Layout

LAYOUT = Layout(("Fp1-F7", "Cz", "O2"), 256.0)


def noise(samples: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 50, (samples, channels)).astype(np.float32)


def test_gives_back_what_was_written_to_half_a_step(tmp_path):
    signal = noise(256 * 3)
    recording = read_edf(write_edf(tmp_path / "a.edf", signal, LAYOUT))
    step = np.ptp(signal) / 65535
    assert recording.layout == LAYOUT
    np.testing.assert_allclose(recording.read(), signal, atol=0.6 * step)


@given(samples=st.integers(1, 3000), rate=st.sampled_from([100.0, 128, 200, 256, 512, 199.8]))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_keeps_the_length_or_fills_up_one_record(tmp_path, samples, rate):
    signal = noise(samples, 1)
    recording = read_edf(write_edf(tmp_path / "a.edf", signal, Layout(("Cz",), rate)))
    assert recording.layout.rate == pytest.approx(rate, rel=1e-9)
    assert samples <= recording.samples <= samples + 10 * rate
    np.testing.assert_allclose(recording.read()[:samples], signal, atol=0.01)


@pytest.mark.parametrize("samples", [256 * 60 + 128, 256 * 7 + 4, 1001 * 4])
def test_keeps_a_length_that_is_not_whole_seconds(tmp_path, samples):
    recording = read_edf(write_edf(tmp_path / "a.edf", noise(samples), LAYOUT))
    assert recording.samples == samples


def test_fills_up_the_last_record_only_when_nothing_else_is_left_and_as_little_as_can_be(tmp_path):
    recording = read_edf(write_edf(tmp_path / "a.edf", noise(2561), LAYOUT))
    assert recording.samples == 2568
    np.testing.assert_allclose(np.ptp(recording.read()[2560:], axis=0), 0, atol=1e-6)


def test_converts_the_unit_of_the_layout(tmp_path):
    layout = Layout(("Cz",), 10, unit="mV")
    recording = read_edf(write_edf(tmp_path / "a.edf", [[1.0]] * 5 + [[-1.0]] * 5, layout))
    np.testing.assert_allclose(recording.read()[:, 0], [1000] * 5 + [-1000] * 5, rtol=1e-4)


def test_writes_a_flat_signal(tmp_path):
    path = write_edf(tmp_path / "a.edf", np.full((256, 3), 7.0), LAYOUT)
    np.testing.assert_allclose(read_edf(path).read(), 7, atol=1e-4)


def test_puts_who_and_what_in_the_header(tmp_path):
    names = {"subject": "chb 01", "recording_id": "night 2"}
    edf = edfio.read_edf(write_edf(tmp_path / "a.edf", noise(256), LAYOUT, **names))
    assert edf.patient.code == "chb_01"
    assert edf.recording.hospital_administration_code == "night_2"


@pytest.mark.parametrize(
    ("name", "kept"),
    [("Zoë Ångström", "Zoe_Angstrom"), ("x" * 90, "x" * 50), ("患者", "X"), ("a\0b", "ab")],
)
def test_names_in_the_header_are_what_it_can_hold(tmp_path, name, kept):
    names = {"subject": name, "recording_id": name}
    edf = edfio.read_edf(write_edf(tmp_path / "a.edf", noise(256), LAYOUT, **names))
    assert edf.patient.code == kept
    assert edf.recording.hospital_administration_code == kept


@pytest.mark.parametrize("label", ["Fp1-F7 of the second", "Fpü", "a\tb", "EDF Annotations"])
def test_a_channel_that_a_header_cannot_name_is_refused(tmp_path, label):
    with pytest.raises(ValueError, match=r"Invalid channels: .*, must be at most 16 characters of"):
        write_edf(tmp_path / "a.edf", noise(256, 1), Layout((label,), 256.0))


@pytest.mark.parametrize("year", [1970, 2085])
def test_a_year_that_a_header_cannot_hold_is_refused(tmp_path, year):
    with pytest.raises(ValueError, match=f"Invalid start: {year}-01-01, must be in the years 1985"):
        write_edf(tmp_path / "a.edf", noise(256), LAYOUT, start=datetime(year, 1, 1))


@pytest.mark.parametrize("scale", [1e7, 1e20, 1e300])
def test_values_that_a_header_cannot_hold_are_refused(tmp_path, scale):
    with pytest.raises(ValueError, match=r"Invalid signal: .* µV, must be within ±9.9e\+06 µV"):
        write_edf(tmp_path / "a.edf", noise(256).astype(float) * scale, LAYOUT)


@pytest.mark.parametrize("highest", [9.9e6, 9.8765432e6])
def test_the_greatest_values_are_written(tmp_path, highest):
    signal = np.linspace(-highest, highest, 256)[:, None]
    recording = read_edf(write_edf(tmp_path / "a.edf", signal, Layout(("Cz",), 256.0)))
    np.testing.assert_allclose(recording.read(), signal, atol=highest / 30_000)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.full((9, 3), np.nan), "NaN or infinite"),
        (np.zeros((9, 2)), "must be"),
        (np.zeros((0, 3)), "at least one"),
    ],
)
def test_refuses_what_edf_cannot_hold_and_leaves_no_file(tmp_path, signal, message):
    with pytest.raises(ValueError, match=message):
        write_edf(tmp_path / "a.edf", signal, LAYOUT)
    assert list(tmp_path.iterdir()) == []


def test_leaves_the_old_file_when_the_new_one_does_not_fit(tmp_path):
    normal = write_edf(tmp_path / "normal.edf", noise(256), LAYOUT)
    before = normal.read_bytes()
    with pytest.raises(ValueError, match="Invalid physical_range: -1 to 1 µV, must"):
        write_edf(normal, noise(256), LAYOUT, physical_range=(-1, 1))
    assert normal.read_bytes() == before
    assert len(list(normal.parent.iterdir())) == 1
