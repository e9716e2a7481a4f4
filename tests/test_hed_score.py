"""HED-SCORE tables of events: what is read, written and cut."""

from __future__ import annotations

import contextlib
import csv
import math
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier.formats.hed_score import clip_events, read_events, read_permitted_events, write_events
from ranvier.truth import Event, Events

HEADER = "onset\tduration\teventType\tconfidence\tchannels\tdateTime\trecordingDuration"
START = datetime(2020, 2, 29, 23, 59, 58)
ANY_FOLDER = {"suppress_health_check": [HealthCheck.function_scoped_fixture]}


@pytest.fixture
def table(tmp_path):
    def write(*rows: str, header: str = HEADER, end: str = "\n", start: bytes = b"") -> Events:
        path = tmp_path / "events.tsv"
        path.write_bytes(start + "".join(row + end for row in (header, *rows)).encode())
        return read_events(path)

    return write


def permitted(folder, *rows: str, header: str = "onset\tduration\ttrial_type"):
    (folder / "events.tsv").write_text("\n".join((header, *rows)) + "\n")
    return read_permitted_events(folder / "events.tsv")


class TestWriting:
    def test_has_the_columns_of_the_standard_then_trial_type(self, tmp_path):
        events = Events((Event(1, 2.5, "sz_foc", 0.875, "Fp1,F7"),), 60, START)
        lines = write_events(tmp_path / "a.tsv", events).read_text().splitlines()
        assert lines[0] == HEADER + "\ttrial_type"
        row = "1.00\t2.50\tsz_foc\t0.88\tFp1,F7\t2020-02-29 23:59:58\t60.00\tsz_foc"
        assert lines[1:] == [row]

    def test_of_no_seizure_is_one_background_row_over_the_file(self, tmp_path):
        lines = write_events(tmp_path / "a.tsv", Events((), 60)).read_text().splitlines()
        assert lines[1:] == ["0.00\t60.00\tbckg\tn/a\tn/a\tn/a\t60.00\tbckg"]

    def test_adds_background_to_events_that_are_no_seizures(self, tmp_path):
        path = write_events(tmp_path / "a.tsv", Events((Event(1, 2, "artefact"),), 60))
        assert [event.label for event in read_events(path)] == ["bckg", "artefact"]

    @given(ends=st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)).map(sorted))
    @settings(**ANY_FOLDER)
    def test_rounds_onset_and_end_so_that_no_event_passes_the_file(self, tmp_path, ends):
        events = Events.from_intervals([ends], ends[1] + 0.01)
        (event,) = read_events(write_events(tmp_path / "a.tsv", events))
        assert event.onset == pytest.approx(ends[0], abs=0.00501)
        assert event.end == pytest.approx(ends[1], abs=0.00501)
        assert event.end <= read_events(tmp_path / "a.tsv").duration + 1e-6

    def test_serves_tools_that_read_by_the_name_of_a_column(self, tmp_path):
        path = write_events(tmp_path / "a.tsv", Events((Event(1, 2),), 60, START))
        with path.open(newline="") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        assert (float(row["onset"]), row["eventType"], row["trial_type"]) == (1.0, "sz", "sz")
        assert datetime.strptime(row["dateTime"], "%Y-%m-%d %H:%M:%S") == START
        assert int(float(row["recordingDuration"])) == 60

    def test_keeps_tabs_and_line_ends_out_of_the_cells(self, tmp_path):
        path = write_events(tmp_path / "a.tsv", Events((Event(0, 1, "a\tb\nc"),), 9))
        assert "a b c" in [event.label for event in read_events(path)]

    @pytest.mark.parametrize("duration", [math.nan, math.inf, 0.0, -1.0])
    def test_refuses_a_duration_that_is_none(self, tmp_path, duration):
        with pytest.raises(ValueError, match="Invalid duration of events"):
            write_events(tmp_path / "a.tsv", Events((), duration))

    @pytest.mark.parametrize("event", [Event(-1, 2), Event(0, math.nan), Event(0, 1, "sz", 5.0)])
    def test_refuses_events_at_no_time_and_leaves_no_file(self, tmp_path, event):
        with pytest.raises(ValueError, match="Invalid event"):
            write_events(tmp_path / "a.tsv", Events((event,), 9))
        assert list(tmp_path.iterdir()) == []


class TestReading:
    def test_gives_back_what_was_written(self, tmp_path):
        items = (Event(0, 4, "sz_foc", 0.25, "Fp1,F7"), Event(5, 1, "bckg", 1.0))
        events = Events(items, 9.5, START)
        assert read_events(write_events(tmp_path / "a.tsv", events)) == events

    @pytest.mark.parametrize("label", ["eventType", "trial_type"])
    def test_takes_either_label_and_any_order_without_optional_columns(self, table, label):
        events = table("sz\t3\t1", header=f"{label}\tduration\tonset")
        assert [(event.onset, event.end, event.label) for event in events] == [(1, 4, "sz")]
        assert math.isnan(events.duration)
        assert events.start is None

    def test_takes_windows_line_ends_a_byte_order_mark_and_empty_lines(self, table):
        rows = ("1\t2\tsz\tn/a\tn/a\t2020-02-29 23:59:58\t60", "")
        events = table(*rows, end="\r\n", start=b"\xef\xbb\xbf")
        assert (len(events), events.duration, events.start) == (1, 60.0, START)

    def test_of_a_header_alone_has_no_events(self, table):
        assert len(table()) == 0

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("-1\t2\tsz\tn/a\tn/a\tn/a\t60", "invalid onset: -1, must be a number, 0 or more"),
            ("nan\t2\tsz\tn/a\tn/a\tn/a\t60", "invalid onset: nan"),
            ("1\t-2\tsz\tn/a\tn/a\tn/a\t60", "invalid duration: -2"),
            ("1\tn/a\tsz\tn/a\tn/a\tn/a\t60", "invalid duration: n/a"),
            ("1\tinf\tsz\tn/a\tn/a\tn/a\t60", "invalid duration: inf"),
            ("1\t2\tn/a\tn/a\tn/a\tn/a\t60", "no label"),
            ("1\t2\tsz\t1.5\tn/a\tn/a\t60", "invalid confidence: 1.5, must .* between 0 and 1"),
            ("1\t2\tsz\tn/a\tn/a\tnoon\t60", "invalid dateTime: noon"),
            ("1\t2\tsz\tn/a\tn/a\tn/a\tlong", "invalid recordingDuration: long"),
            ("1 2 sz", "1 cells, must be 7"),
        ],
    )
    def test_refuses_a_bad_line_by_its_number(self, table, row, message):
        with pytest.raises(ValueError, match=rf"events\.tsv, line 3: {message}"):
            table("0\t1\tsz\tn/a\tn/a\tn/a\t60", row)

    @pytest.mark.parametrize(
        ("header", "message"),
        [("", "no column onset and no duration"), ("onset\tduration", "eventType or trial_type")],
    )
    def test_refuses_a_table_without_the_columns_it_needs(self, table, header, message):
        with pytest.raises(ValueError, match=message):
            table(header=header)

    def test_refuses_what_is_no_text_or_not_there(self, tmp_path):
        with pytest.raises(ValueError, match=r"Cannot read .*none\.tsv: No such file"):
            read_events(tmp_path / "none.tsv")
        (tmp_path / "a.tsv").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="is not a table of events"):
            read_events(tmp_path / "a.tsv")

    @given(content=st.binary(max_size=200), with_header=st.booleans())
    @settings(max_examples=200, **ANY_FOLDER)
    def test_fails_with_a_value_error_or_not_at_all(self, tmp_path, content, with_header):
        path = tmp_path / "any.tsv"
        path.write_bytes(HEADER.encode() * with_header + b"\n" + content)
        with contextlib.suppress(ValueError):
            assert isinstance(read_events(path), Events)


class TestPermitted:
    """What BIDS permits, and other programs write."""

    @pytest.mark.parametrize("row", ["1\tn/a\tbckg", "n/a\t1\tbckg", "1\t1\tn/a", "x\t1\trest"])
    def test_rows_of_no_use_are_left_out_and_counted(self, tmp_path, row):
        events, notes = permitted(tmp_path, row, "2\t3\tsz")
        assert [(event.onset, event.label) for event in events] == [(2, "sz")]
        assert notes[0].startswith("1 rows of the table of events without an onset, a duration or")

    @pytest.mark.parametrize(
        ("row", "onset"), [("7\tn/a\tsz", 7), ("n/a\t5\tsz", 0), ("n/a\tn/a\tFNSZ", 0)]
    )
    def test_a_seizure_at_no_known_time_is_kept_and_told(self, tmp_path, row, onset):
        (event,), (note,) = permitted(tmp_path, row)
        assert (event.onset, math.isnan(event.duration)) == (onset, True)
        assert note.startswith("1 seizures have no known onset or duration")

    def test_a_seizure_that_makes_no_sense_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="line 2: invalid duration: -5"):
            permitted(tmp_path, "7\t-5\tsz")

    def test_events_may_begin_before_the_signal(self, tmp_path):
        events, notes = permitted(tmp_path, "-5\t7\tsz")
        assert [(event.onset, event.end, notes) for event in events] == [(-5, 2, [])]

    @given(
        content=st.text("0-1n/a.sz\t\n", max_size=60), label=st.sampled_from(["x", "trial_type"])
    )
    @settings(max_examples=100, **ANY_FOLDER)
    def test_fails_with_a_value_error_or_not_at_all(self, tmp_path, content, label):
        with contextlib.suppress(ValueError):
            permitted(tmp_path, content, header=f"onset\tduration\t{label}")

    def test_a_table_without_labels_says_nothing(self, tmp_path):
        events, (note,) = permitted(tmp_path, "1\t2", header="onset\tduration")
        assert (events, note) == (
            None,
            "the table of events has no labels, as eventType or trial_type",
        )

    def test_a_table_without_rows_has_no_events_and_one_of_no_use_says_nothing(self, tmp_path):
        assert permitted(tmp_path) == (Events((), math.nan), [])
        assert permitted(tmp_path, "1\t2\tn/a")[0] is None


class TestClipping:
    def test_leaves_events_within_the_signal_as_they_are(self):
        events = Events((Event(1, 2), Event(5, 5)), 10)
        assert clip_events(events, 10) == (events, [])

    def test_cuts_and_drops_what_lies_beyond_and_says_so(self):
        events, notes = clip_events(Events((Event(1, 20), Event(12, 1)), 20), 10)
        assert events == Events((Event(1, 9),), 10)
        assert notes == [
            "the events describe 20.00 s, the signal has 10.00 s",
            "events after the end of the signal are left out: sz 12.00-13.00 s",
            "events are cut at the end of the signal: sz 1.00-21.00 s",
        ]

    def test_cuts_and_drops_what_lies_before_and_says_so(self):
        events, notes = clip_events(Events((Event(-4, 1), Event(-3, 5), Event(-1, 99)), 10), 10)
        assert events == Events((Event(0, 2), Event(0, 10)), 10)
        assert notes[:2] == [
            "events before the signal are left out: sz -4.00--3.00 s",
            "events are cut at the beginning of the signal: sz -3.00-2.00 s, sz -1.00-98.00 s",
        ]

    def test_says_nothing_of_the_rounding_of_two_decimals(self):
        events, notes = clip_events(Events((Event(1, 9.0),), 10.0), 9.996)
        assert (events.items[0].end, notes) == (9.996, [])

    def test_takes_the_signal_s_duration_where_none_is_known(self):
        events, notes = clip_events(Events((Event(1, 2),), math.nan), 10)
        assert (events.duration, notes) == (10, [])
