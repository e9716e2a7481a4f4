"""EDF, EDF+ and BDF: what is read, what is repaired, what is refused, what is written."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier.formats.edf import read_annotations, read_edf, write_edf
from ranvier.recording import Layout

DATA = Path(__file__).parents[2] / "shared" / "data"
CLIPS = DATA / "chbmit_clips"
LAYOUT = Layout(("Fp1-F7", "Cz", "O2"), 256.0)

FIXED = {
    "version": ("0", 8), "patient": ("X X X X", 80), "recording": ("", 80),
    "date": ("02.03.04", 8), "time": ("05.06.07", 8), "size": (None, 8), "reserved": ("", 44),
    "records": (3, 8), "seconds": (1, 8), "signals": (None, 4),
}  # fmt: skip
CHANNEL = {
    "label": ("Cz", 16), "transducer": ("", 80), "unit": ("uV", 8), "physical_min": (-3276.8, 8),
    "physical_max": (3276.7, 8), "digital_min": (-32768, 8), "digital_max": (32767, 8),
    "prefilter": ("", 80), "samples": (4, 8), "reserved": ("", 32),
}  # fmt: skip


def field(value: object, width: int) -> bytes:
    return (value if isinstance(value, bytes) else str(value).encode("latin-1")).ljust(width)


def edf_bytes(
    channels: tuple[dict, ...] = ({},), content: bytes | None = None, **fixed: object
) -> bytes:
    """Build a file of any header; ``content`` replaces records that count 0, 1, 2, ..."""
    computed = {"size": 256 * (1 + len(channels)), "signals": len(channels)}
    head = b"".join(
        field({**computed, **fixed}.get(name, default), width)
        for name, (default, width) in FIXED.items()
    )
    for name, (default, width) in CHANNEL.items():
        head += b"".join(field(channel.get(name, default), width) for channel in channels)
    samples = sum(channel.get("samples", 4) for channel in channels)
    return head + (np.arange(3 * samples, dtype="<i2").tobytes() if content is None else content)


def edf_file(folder: Path, *args: object, **kwargs: object) -> Path:
    path = folder / "odd.edf"
    path.write_bytes(edf_bytes(*args, **kwargs))
    return path


def discontinuous(folder: Path, *tals: bytes, **kwargs: object) -> Path:
    """Write records of 4 samples of Cz and 32 bytes of annotations."""
    records = [
        np.arange(4 * i, 4 * i + 4, dtype="<i2").tobytes() + tal.ljust(32, b"\0")
        for i, tal in enumerate(tals)
    ]
    channels = ({}, {"label": "EDF Annotations", "samples": 16})
    kwargs = {"reserved": "EDF+D", "records": len(tals), **kwargs}
    return edf_file(folder, channels, b"".join(records), **kwargs)


def noise(samples: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, (samples, channels)).astype(np.float32)


@pytest.fixture
def normal(tmp_path):
    return write_edf(tmp_path / "normal.edf", noise(256 * 5), LAYOUT)


class TestValues:
    def test_equal_those_of_edfio(self, normal):
        signal = read_edf(normal).read()
        expected = np.column_stack([s.data for s in edfio.read_edf(normal).signals])
        assert signal.dtype == np.float32
        np.testing.assert_allclose(signal, expected, atol=1e-3)

    @given(bounds=st.tuples(st.integers(0, 1280), st.integers(0, 1280)).map(sorted))
    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_of_any_range_are_those_of_the_whole(self, normal, bounds):
        recording = read_edf(normal)
        part = recording.reader(*bounds)
        np.testing.assert_array_equal(part, recording.read()[slice(*bounds)])

    def test_are_in_microvolts_whatever_the_unit(self, tmp_path):
        channels = [{"unit": unit} for unit in ("uV", "mV", "V", "nV", "\xb5V", "UV")]
        second = read_edf(edf_file(tmp_path, channels)).read()[1]
        expected = 0.1 * np.arange(1, 25, 4) * [1, 1e3, 1e6, 1e-3, 1, 1]
        np.testing.assert_allclose(second, expected, rtol=1e-4)

    def test_follow_an_inverted_physical_range(self, tmp_path):
        path = edf_file(tmp_path, ({"physical_min": 3276.8, "physical_max": -3276.7},))
        np.testing.assert_allclose(read_edf(path).read()[:3, 0], [0, -0.1, -0.2], atol=1e-3)

    def test_follow_a_range_with_decimal_commas(self, tmp_path):
        channels = ({"physical_min": "-3276,8", "physical_max": "3276,7"},)
        signal = read_edf(edf_file(tmp_path, channels, seconds="0,5")).read()
        np.testing.assert_allclose(signal[:3, 0], [0, 0.1, 0.2], atol=1e-3)

    def test_of_bdf_have_24_bits(self, tmp_path):
        data = np.random.default_rng(0).normal(0, 1e4, 512)
        signals = [edfio.BdfSignal(data, 128, label="Cz", physical_dimension="uV")]
        edfio.Bdf(signals).write(tmp_path / "a.bdf")
        read = read_edf(tmp_path / "a.bdf").read(1.0, 3.0)[:, 0]
        np.testing.assert_allclose(read, data[128:384], atol=0.01)

    def test_are_those_of_the_right_channels_when_others_lie_between(self, tmp_path):
        channels = ({}, {"unit": "%"}, {"label": "Oz"}, {"label": "Pz", "samples": 1})
        recording = read_edf(edf_file(tmp_path, channels))
        np.testing.assert_allclose(recording.read()[:4].T * 10, [range(4), range(8, 12)], atol=1e-2)

    def test_are_found_where_channels_do_not_line_up(self, tmp_path):
        channels = ({}, {"label": "EMG", "samples": 3}, {"label": "Oz"})
        signal = read_edf(edf_file(tmp_path, channels)).reader(3, 5)
        np.testing.assert_allclose(signal * 10, [[3, 10], [11, 18]], atol=1e-2)


class TestChannels:
    def test_keep_the_rate_of_most_electrodes(self, tmp_path):
        channels = (
            {"label": "EEG Fpz-Cz"},
            {"label": "EEG Pz-Oz"},
            {"label": "EMG", "samples": 8},
            {"label": "EEG Cz", "samples": 2},
        )
        recording = read_edf(edf_file(tmp_path, channels))
        assert recording.layout == Layout(("EEG Fpz-Cz", "EEG Pz-Oz"), 4.0)
        assert recording.notes == ("left out, at another rate: EMG (uV), EEG Cz (uV)",)

    def test_keep_the_highest_rate_when_none_is_an_electrode(self, tmp_path):
        channels = ({"label": "one", "samples": 2}, {"label": "two", "samples": 8})
        assert read_edf(edf_file(tmp_path, channels)).layout == Layout(("two",), 8.0)

    @pytest.mark.parametrize("unit", ["%", "degC", "bpm"])
    def test_of_another_unit_are_left_out(self, tmp_path, unit):
        recording = read_edf(edf_file(tmp_path, ({}, {"label": "X1", "unit": unit})))
        assert recording.layout.channels == ("Cz",)
        assert recording.notes == (f"left out, not in a unit of voltage: X1 ({unit})",)

    def test_without_a_unit_are_microvolts_if_electrodes(self, tmp_path):
        recording = read_edf(edf_file(tmp_path, ({"unit": ""}, {"label": "-", "unit": ""})))
        assert recording.layout.channels == ("Cz",)
        assert "without a unit, taken as µV: Cz" in recording.notes
        assert "left out, not in a unit of voltage: -" in recording.notes

    def test_of_another_unit_are_kept_when_nothing_else_is_there(self, tmp_path):
        recording = read_edf(edf_file(tmp_path, ({"label": "SpO2", "unit": "%"},)))
        assert recording.layout.channels == ("SpO2",)
        assert recording.notes == ("not in a unit of voltage, taken as in the file: SpO2 (%)",)

    @pytest.mark.parametrize(
        "broken",
        [
            {"digital_min": 5, "digital_max": 5},
            {"physical_min": 1, "physical_max": 1},
            {"physical_max": "1e300"},
            {"samples": 0},
            {"digital_min": ""},
            {"digital_max": "x"},
            {"physical_min": ""},
            {"physical_max": "nan"},
        ],
    )
    def test_without_a_usable_range_are_left_out(self, tmp_path, broken):
        recording = read_edf(edf_file(tmp_path, ({}, {"label": "Oz", **broken})))
        assert recording.layout.channels == ("Cz",)
        assert recording.notes == ("left out, without a usable range: Oz (uV)",)
        with pytest.raises(ValueError, match="no channel with a usable range: Oz"):
            read_edf(edf_file(tmp_path, ({"label": "Oz", **broken},)))


class TestStart:
    @pytest.mark.parametrize(
        ("date", "recording", "year"),
        [
            ("02.03.85", "", 1985),
            ("02.03.84", "", 2084),
            ("02.03.02", "Startdate 02-MAR-1902 X X X", 1902),
        ],
    )
    def test_has_the_right_century(self, tmp_path, date, recording, year):
        path = edf_file(tmp_path, date=date, recording=recording)
        assert read_edf(path).start == datetime(year, 3, 2, 5, 6, 7)

    @pytest.mark.parametrize("date", ["01:01:85", "00.00.00", "31.02.10", "", "X"])
    def test_is_unknown_with_a_note_when_the_date_is_broken(self, tmp_path, date):
        recording = read_edf(edf_file(tmp_path, date=date))
        assert recording.start is None
        assert recording.notes == (f"start unknown: date {date!r} and time '05.06.07' are broken",)

    def test_is_unknown_when_it_was_made_anonymous(self, tmp_path):
        fields = {"recording": "Startdate X X X X", "date": "01.01.85", "time": "00.00.00"}
        recording = read_edf(edf_file(tmp_path, **fields))
        assert recording.start is None
        assert recording.notes == ()

    def test_comes_back_with_its_fraction_of_a_second(self, tmp_path):
        start = datetime(2020, 2, 29, 23, 59, 58, 250000)
        path = write_edf(tmp_path / "a.edf", noise(512), LAYOUT, start=start)
        assert read_edf(path).start == start


class TestLength:
    def test_is_that_of_the_whole_records_of_a_truncated_file(self, normal):
        normal.write_bytes(normal.read_bytes()[:-10])
        recording = read_edf(normal)
        assert recording.duration == 4.0
        assert recording.notes == ("data end at 4 s, the header promises 5 s",)
        assert len(recording.read()) == 1024

    def test_is_that_of_the_header_when_the_file_goes_on(self, normal):
        normal.write_bytes(normal.read_bytes() + b"more")
        recording = read_edf(normal)
        assert recording.duration == 5.0
        assert recording.notes == ("4 bytes after the last record are ignored",)

    def test_comes_from_the_size_while_a_recording_is_in_progress(self, tmp_path):
        content = np.zeros(10, "<i2").tobytes()
        recording = read_edf(edf_file(tmp_path, content=content, records=-1))
        assert recording.duration == 2.0
        assert recording.notes == ("the header gives -1 records, the file's size 2",)


class TestGaps:
    def test_are_kept_as_nan(self, tmp_path):
        path = discontinuous(tmp_path, b"+0\x14\x14", b"+1\x14\x14", b"+4.5\x14\x14")
        recording = read_edf(path)
        assert recording.duration == 5.5
        assert recording.notes == ("1 gaps between records, 2.5 s in all, are NaN",)
        signal = recording.read()[:, 0]
        expected = [*range(8), *[np.nan] * 10, *range(8, 12)]
        np.testing.assert_allclose(signal * 10, expected, atol=1e-2)

    @given(bounds=st.tuples(st.integers(0, 22), st.integers(0, 22)).map(sorted))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_lie_where_they_are_in_any_range(self, tmp_path, bounds):
        path = discontinuous(tmp_path, b"+0\x14\x14", b"+1\x14\x14", b"+4.5\x14\x14")
        recording = read_edf(path)
        part = recording.reader(*bounds)
        np.testing.assert_array_equal(part, recording.read()[slice(*bounds)])

    def test_lie_where_they_are_when_there_are_many(self, tmp_path):
        tals = (f"+{3 * n}\x14\x14".encode() for n in range(20))
        recording = read_edf(discontinuous(tmp_path, *tals))
        whole = recording.read()
        for first in range(0, recording.samples - 2, 5):
            np.testing.assert_array_equal(recording.reader(first, first + 3), whole[first:][:3])

    def test_begin_from_the_first_record(self, tmp_path):
        recording = read_edf(discontinuous(tmp_path, b"+7\x14\x14", b"+9\x14\x14"))
        assert recording.start == datetime(2004, 3, 2, 5, 6, 14)
        assert recording.duration == 3.0

    @pytest.mark.parametrize("second", [b"+0.5\x14\x14", b"-3\x14\x14", b"+0\x14\x14"])
    def test_are_refused_when_records_overlap_or_are_unordered(self, tmp_path, second):
        with pytest.raises(ValueError, match="records out of order: record 2 begins at"):
            read_edf(discontinuous(tmp_path, b"+0\x14\x14", second))

    def test_are_refused_when_a_record_has_no_time(self, tmp_path):
        with pytest.raises(ValueError, match="not every record says when it begins"):
            read_edf(discontinuous(tmp_path, b"+0\x14\x14", b""))
        with pytest.raises(ValueError, match="not every record says when it begins"):
            read_edf(edf_file(tmp_path, reserved="EDF+D"))

    def test_are_none_when_records_only_differ_by_rounding(self, tmp_path):
        recording = read_edf(discontinuous(tmp_path, b"+0\x14\x14", b"+1.2\x14\x14"))
        assert recording.samples == 8
        assert recording.notes == ()


FATAL = {
    "is not an EDF file: version field 'RIFF'": {"version": "RIFF"},
    "signals is '0', must be a whole number, 1 or more": {"signals": 0},
    "signals is '-1', must be a whole number, 1 or more": {"signals": -1},
    "signals is 'two', must be a number": {"signals": "two"},
    "9 signals need 2560 bytes": {"signals": 9},
    "the header says 768": {"size": 768},
    "records is '1.5', must be a whole number": {"records": "1.5"},
    "record duration is 'nan', must be a number": {"seconds": "nan"},
    "4 samples in records of 0 s": {"seconds": 0},
    "4 samples in records of -1 s": {"seconds": -1},
    "4 samples in records of 1e-300 s": {"seconds": "1e-300"},
    "has no whole record": {"content": b"1234567"},
    "has no channel with a usable range": {"channels": ({"samples": 0},)},
    "samples per record is '-4', must be a whole number": {"channels": ({"samples": -4},)},
    "has annotations only, no signal": {"channels": ({"label": "EDF Annotations"},)},
}


class TestRefusal:
    @pytest.mark.parametrize(("message", "fields"), FATAL.items(), ids=FATAL)
    def test_names_the_file_and_the_fault(self, tmp_path, message, fields):
        path = edf_file(tmp_path, **{"content": b"\0" * 24} | fields)
        with pytest.raises(ValueError, match=message) as caught:
            read_edf(path)
        assert str(tmp_path / "odd.edf") in str(caught.value)

    @pytest.mark.parametrize("length", [0, 8, 255, 256, 511])
    def test_of_a_file_that_ends_within_its_header(self, tmp_path, length):
        path = tmp_path / "short.edf"
        path.write_bytes(edf_bytes()[:length])
        with pytest.raises(ValueError, match=r"short\.edf (is not an EDF file|has a)"):
            read_edf(path)

    def test_of_a_file_that_is_not_there_or_a_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"Cannot read .*none\.edf: No such file"):
            read_edf(tmp_path / "none.edf")
        with pytest.raises(ValueError, match="Cannot read"):
            read_edf(tmp_path)

    @given(
        flips=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=6),
        length=st.integers(0, 900) | st.none(),
        reserved=st.sampled_from(["", "EDF+C", "EDF+D"]),
    )
    @settings(
        max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_is_a_value_error_whatever_the_bytes(self, tmp_path, flips, length, reserved):
        tals = (b"+0\x14\x14\0+0\x151\x14sz\x14", b"+1\x14\x14", b"+3\x14\x14")
        damaged = bytearray(discontinuous(tmp_path, *tals, reserved=reserved).read_bytes())
        for place, value in flips:
            damaged[place % len(damaged)] = value
        (tmp_path / "odd.edf").write_bytes(damaged[:length])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                recording = read_edf(tmp_path / "odd.edf")
            except ValueError:
                return
            assert len(recording.reader(0, min(recording.samples, 100))) > 0


@pytest.mark.real
@pytest.mark.skipif(not CLIPS.exists(), reason="the real recordings are absent")
class TestReal:
    def test_clips_equal_edfio(self):
        path = next(CLIPS.glob("sub-01/ses-01/eeg/*run-00_eeg.edf"))
        expected = np.column_stack([s.data for s in edfio.read_edf(path).signals])
        np.testing.assert_allclose(read_edf(path).read(), expected, atol=1e-3)

    @pytest.mark.parametrize("name", ["chb01_01_sample.edf", "PN00-5_sample.edf"])
    def test_headers_of_published_files_are_read(self, name):
        recording = read_edf(DATA / "annotation_samples" / name)
        assert recording.layout.rate in (256.0, 512.0)
        assert np.isfinite(recording.read()).all()

    def test_sleep_stages_are_read(self):
        path = min((DATA / "sleep_edf_hypnograms").glob("*.edf"))
        stages = read_annotations(path)
        assert stages[0] == (0.0, stages[1][0], "Sleep stage W")


def test_many_open_recordings_do_not_keep_many_files_open(tmp_path):
    opened = []
    for number in range(100):
        path = tmp_path / f"{number}.edf"
        write_edf(path, np.ones((256, 1)), Layout(("Cz",), 256.0))
        opened.append(read_edf(path))
        opened[-1].read()
    assert len(list(Path("/proc/self/fd").iterdir())) < 100
