"""Tables as signals: the rate comes from the times, and uneven times are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.formats import read, read_table
from ranvier.formats.signal_tables import even_rate

VALUES = np.round(np.random.default_rng(0).normal(0, 30, (64, 2)), 3)


def table(path, *, rate: float = 256.0, digits: int = 3, first: float = 0.0, separator: str = ","):
    rows = [f"time{separator}Cz{separator}Pz"]
    for place, values in enumerate(VALUES):
        cells = [f"{first + place / rate:.{digits}f}", *map(str, values)]
        rows.append(separator.join(cells))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_rate_comes_from_the_times_even_when_they_are_rounded(tmp_path, separator):
    (found,) = read(table(tmp_path / "a.tsv", separator=separator), subject="s")
    assert (found.layout.channels, found.layout.rate) == (("Cz", "Pz"), 256.0)
    np.testing.assert_allclose(found.read(), VALUES, rtol=1e-6)
    assert found.notes == ("the unit is not known, values are taken as µV",)


def test_milliseconds_and_other_clocks_are_understood(tmp_path):
    (tmp_path / "a.csv").write_text("Time (ms),a\n1000,1\n1004,2\n1008,3\n")
    found = read_table(tmp_path / "a.csv", unit="mV")
    assert (found.layout.rate, found.read()[:, 0].tolist()) == (250.0, [1000, 2000, 3000])
    assert found.notes == ("the first sample is at 1 s of the table's clock",)


def test_units_may_stand_behind_the_names_of_channels(tmp_path):
    (tmp_path / "a.csv").write_text("time (s),Fp1 (mV),Cz[uV],Oz (V)\n0,1,2,3\n1,4,5,6\n")
    found = read_table(tmp_path / "a.csv")
    assert (found.layout.channels, found.notes) == (("Fp1", "Cz", "Oz"), ())
    np.testing.assert_allclose(found.read(), [[1e3, 2, 3e6], [4e3, 5, 6e6]])
    assert read_table(tmp_path / "a.csv", unit="mV").read()[0].tolist() == [1e3, 2e3, 3e3]


def test_channels_without_a_unit_beside_others_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("t,Fp1 (mV),Cz,SpO2 (%)\n0,1,2,3\n1,4,5,6\n")
    found = read_table(tmp_path / "a.csv")
    assert found.notes == ("the unit of Cz, SpO2 (%) is not known, values are taken as µV",)


def test_channels_that_differ_in_their_unit_only_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("t,Cz (mV),Cz (uV)\n0,1,2\n1,4,5\n")
    with pytest.raises(ValueError, match=r"a.csv: invalid channels: Cz \(mV\), Cz \(uV\), must"):
        read_table(tmp_path / "a.csv")


def test_an_empty_cell_is_nan(tmp_path):
    (tmp_path / "a.csv").write_text("t,a,b\n0,1,\n1,n/a,4\n")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv").read(), [[1, np.nan], [np.nan, 4]])


def test_a_table_without_times_needs_a_rate(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    assert read_table(tmp_path / "a.csv", rate=10).duration == 0.2
    with pytest.raises(ValueError, match=r"0 columns of times, .* found: a, b; say it with time="):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("lost", [1, 30, 62])
def test_a_lost_sample_makes_times_uneven(tmp_path, lost):
    lines = table(tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(lines[: lost + 1] + lines[lost + 2 :]))
    with pytest.raises(ValueError, match=r"a.csv: uneven times: row \d+ at"):
        read_table(tmp_path / "a.csv")


@given(st.integers(20, 2000), st.integers(2, 2000), st.floats(0, 1e6))
@settings(max_examples=50)
def test_times_with_four_digits_give_their_rate(rate, count, first):
    times = np.round(first + np.arange(count) / rate, 4)
    found, begin = even_rate(times)
    assert abs(found - rate) * (count - 1) <= rate
    assert begin == times[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a table of a signal"),
        ("time,a\n", "and 0 rows"),
        ("0,1\n1,2\n", "must have a header"),
        ("time,a,a\n0,1,2\n1,2,3\n", "header of different names"),
        ("time,a\n0,1\n1,x\n", "line 3: 'x', must be a number"),
        ("time,a\n0,1,2\n1,2,3\n", "rows of 3 cells, must have 2"),
        ("time,a\n0,1\n1\n", "a.csv"),
        ("time,a\n1,1\n1,2\n", "finite and rising"),
        ("time,a\n1,1\n", "must be two or more"),
        ("onset\tduration\ttrial_type\n0\t1\tsz\n", "columns of times|line 2: 'sz'"),
        ("time,t,a\n0,0,1\n1,1,1\n", "2 columns of times"),
    ],
)
def test_what_is_no_signal_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        read(tmp_path / "a.csv")
    assert "a.csv" in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"time,a\n\xff\xfe")
    with pytest.raises(ValueError, match=r"a.csv is not a table"):
        read(tmp_path / "a.csv")


def test_a_folder_of_tables_has_no_recordings(tmp_path):
    table(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="No recordings found"):
        read(tmp_path)
