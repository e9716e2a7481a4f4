"""What is wrong around the signal: clocks, annotations, copies, headers; and the command."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import edfio
import numpy as np
import pytest
from test_inspection import SECONDS, START, kinds, make, with_signal

import ranvier as rv
from ranvier.__main__ import main
from ranvier.formats import write_sleep_edf
from ranvier.inspection import inspect
from ranvier.signal_store import write_store
from ranvier.simulate import simulate_nights
from ranvier.staged import after_stages

LATER = START + timedelta(hours=1)
TABLE = "onset\tduration\teventType\tconfidence\tchannels\tdateTime\trecordingDuration\n"


def table_of(folder):
    return next(folder.rglob("*_events.tsv"))


def louder(one, factor):
    return with_signal(one, one.read() * factor)


def shifted(one, seconds):
    """The same signal, begun later, under another name."""
    gone = one.since(seconds)
    return replace(gone, subject="02", start=LATER)


PAIRS = [
    ("gain_between_files", [make(), louder(make(seed=1, start=LATER), 40)]),
    ("rate_difference", [make(), make("02", rate=512, seed=1)]),
    ("overlap_in_time", [make(), make(seed=1, start=START + timedelta(seconds=30))]),
    ("duplicate_recording", [make(), make("02")]),
    ("duplicate_recording", [make(), make()]),
    ("same_person", [make(), shifted(make(), 5)]),
    ("same_person", [make("chb01"), make("chb21", seed=1)]),
]


@pytest.mark.parametrize(("kind", "recordings"), PAIRS)
def test_what_is_wrong_between_files_is_named_and_nothing_else(tmp_path, kind, recordings):
    rv.write_bids(tmp_path / "data", recordings)
    assert kinds(tmp_path / "data") == [kind]


def test_copies_name_both_files_and_both_subjects(tmp_path):
    rv.write_bids(tmp_path / "data", [make(), make("02")])
    (found,) = inspect(tmp_path / "data").findings
    assert found.where.startswith("sub-02")
    assert found.sentence.endswith("run-00_eeg.edf, under subjects 01 and 02")


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("start_missing", None),
        ("start_default", datetime(1985, 1, 1, 12)),
        ("start_future", datetime(2083, 1, 1)),
    ],
)
def test_a_start_that_cannot_be_is_named(tmp_path, kind, start):
    rv.write_bids(tmp_path / "data", [make(start=start)])
    assert kinds(tmp_path / "data") == [kind]


@pytest.mark.parametrize("kept", [-20_000, 12])
def test_a_file_shorter_or_longer_than_its_header_says_is_named(tmp_path, kept):
    rv.write_bids(tmp_path / "data", [make()])
    (path,) = tmp_path.rglob("*.edf")
    whole = path.read_bytes()
    path.write_bytes(whole[:kept] if kept < 0 else whole + bytes(kept))
    table_of(tmp_path).unlink()
    assert kinds(tmp_path / "data") == ["missing_data", "not_annotated"]


def patched(folder, place, text):
    rv.write_bids(folder / "data", [make()])
    (path,) = folder.rglob("*.edf")
    content = path.read_bytes()
    path.write_bytes(content[:place] + text + content[place + len(text) :])
    return folder / "data"


@pytest.mark.parametrize(
    ("kind", "place", "text"),
    [
        ("start_missing", 88, b"x" * 96),
        ("identity", 8, b"X F 02-AUG-1951 X "),
        ("identity", 8, b"X F X Doe_Jane   "),
        ("identity", 8, b"4711081500 X X X "),
        ("identity", 8, b"Jane Doe   "),
        ("identity", 88, b"Startdate 06-MAY-2019 99-1234567 X X" + b" " * 44),
    ],
)
def test_fields_of_the_header_that_should_not_be_there_are_named(tmp_path, kind, place, text):
    assert kinds(patched(tmp_path, place, text)) == [kind]


def test_what_a_header_gives_away_is_not_repeated(tmp_path):
    inspection = inspect(patched(tmp_path, 8, b"X F 02-AUG-1951 Doe_Jane "))
    (found,) = inspection.findings
    assert found.sentence == "the header may tell who was recorded: date of birth, name"
    assert "Doe" not in str(inspection) + json.dumps(inspection.as_dict())


@pytest.mark.parametrize("text", [b"X F X Female_28yr", b"chb01 X X X", b"X X X X", b"Anonymous"])
def test_headers_of_known_data_sets_give_nobody_away(tmp_path, text):
    assert kinds(patched(tmp_path, 8, text.ljust(80))) == []


def test_a_channel_without_a_usable_range_is_named(tmp_path):
    channels = make().layout.channels
    limits = 256 + len(channels) * (16 + 80 + 8 + 8 + 8)
    content = [b"0       " for _ in range(2)]
    path = patched(tmp_path, limits, content[0])
    (file,) = path.rglob("*.edf")
    whole, second = file.read_bytes(), limits + 8 * len(channels)
    file.write_bytes(whole[:second] + content[1] + whole[second + 8 :])
    assert set(kinds(path)) == {"channel_range", "missing_leads"}


ROWS = [
    ("outside_signal", "30\t15\tsz\tn/a\tn/a\tn/a\tn/a"),
    ("outside_signal", "100\t15\tsz\tn/a\tn/a\tn/a\tn/a"),
    ("described_length", "1\t9\tsz\tn/a\tn/a\tn/a\t90"),
    ("unknown_label", "1\t9\tchewing\tn/a\tn/a\tn/a\tn/a\n0\t40\tbckg\tn/a\tn/a\tn/a\tn/a"),
    ("not_annotated", "1\t9\tchewing\tn/a\tn/a\tn/a\tn/a"),
    ("empty_event", "7\t0\tsz\tn/a\tn/a\tn/a\tn/a"),
    ("overlapping_events", "1\t9\tsz\tn/a\tn/a\tn/a\tn/a\n5\t9\tsz\tn/a\tn/a\tn/a\tn/a"),
]


@pytest.mark.parametrize(("kind", "rows"), ROWS)
def test_annotations_that_cannot_be_are_named_and_nothing_else(tmp_path, kind, rows):
    rv.write_bids(tmp_path / "data", [make()])
    table_of(tmp_path).write_text(TABLE + rows + "\n")
    assert kinds(tmp_path / "data") == [kind]


@pytest.mark.parametrize("row", ["0\t40\tbckg", "0\t9\tsz_foc_ia", "3\t9\tTCSZ"])
def test_labels_of_seizures_and_background_are_known(tmp_path, row):
    rv.write_bids(tmp_path / "data", [make()])
    table_of(tmp_path).write_text(TABLE + row + "\tn/a\tn/a\tn/a\tn/a\n")
    assert kinds(tmp_path / "data") == []


def test_a_recording_without_annotations_is_said(tmp_path):
    rv.write_bids(tmp_path / "data", [make(events=None)])
    assert kinds(tmp_path / "data") == ["not_annotated"]


@pytest.mark.parametrize(
    ("text", "kind"), [("EEG seizure onset", "unknown_label"), ("Eyes open", "not_annotated")]
)
def test_annotations_that_sound_like_seizures_are_named(tmp_path, text, kind):
    lead = np.random.default_rng(0).normal(0, 20, 100 * SECONDS)
    signal = edfio.EdfSignal(lead, 100, label="Cz", physical_dimension="uV")
    recorded = edfio.Recording(startdate=START.date())
    note = edfio.EdfAnnotation(5, None, text)
    edf = edfio.Edf([signal], annotations=[note], recording=recorded, starttime=START.time())
    edf.write(tmp_path / "a.edf")
    assert kinds(tmp_path / "a.edf") == [kind]


def night(folder, shift=0, *, hours=4.0, change=lambda hypnogram: hypnogram):
    """A simulated night whose stages stand some epochs later than the signal has them."""
    (one,) = simulate_nights(subjects=1, hours=hours, seed=3)
    stages = one.hypnogram.stages
    moved = replace(one.hypnogram, stages=(*stages[-shift:], *stages[:-shift]) if shift else stages)
    rv.write_bids(folder / "data", [replace(one, hypnogram=change(moved))])
    return folder / "data"


@pytest.mark.parametrize("shift", [2, 6, -6, 16])
def test_stages_that_are_moved_against_the_signal_are_named(tmp_path, shift):
    (found,) = inspect(night(tmp_path, shift)).findings
    assert found.kind == "hypnogram_offset"
    side = "earlier" if shift > 0 else "later"
    assert found.sentence.startswith(f"the stages fit the signal best {30 * abs(shift)} s {side}")


@pytest.mark.parametrize("seed", range(3))
def test_stages_in_their_place_are_silent(tmp_path, seed):
    rv.write_bids(tmp_path / "data", simulate_nights(subjects=1, hours=2, seed=seed))
    assert kinds(tmp_path / "data") == []


def test_stages_that_end_long_before_the_signal_are_named(tmp_path):
    cut = lambda hypnogram: replace(hypnogram, stages=hypnogram.stages[:-10])  # noqa: E731
    assert kinds(night(tmp_path, hours=1, change=cut)) == ["hypnogram_length"]


@pytest.mark.parametrize(
    ("kind", "late", "epochs"), [("hypnogram_length", 0, 30), ("hypnogram_clock", 60, 8)]
)
def test_stages_beside_a_recording_that_do_not_fit_it_are_named(tmp_path, kind, late, epochs):
    signal = np.random.default_rng(0).normal(0, 20, (300 * 100, 1))
    layout = rv.Layout(("EEG Fpz-Cz",), 100)
    rv.write_edf(tmp_path / "SC4001E0-PSG.edf", signal, layout, start=START)
    stages = rv.Hypnogram(("W",) * epochs, 30.0 * epochs)
    begin = START + timedelta(seconds=late)
    write_sleep_edf(tmp_path / "SC4001EC-Hypnogram.edf", stages, start=begin)
    assert kinds(tmp_path) == [kind]


def test_a_hypnogram_alone_is_described(tmp_path):
    path = write_sleep_edf(tmp_path / "a.edf", rv.Hypnogram(("W", "N2", "N2", "REM"), 120.0))
    inspection = inspect(path)
    assert inspection.stages == (("a.edf", "4 epochs: N2 50%, W 25%, REM 25%"),)
    assert inspection.is_usable


def test_one_broken_file_does_not_hide_the_others(tmp_path):
    rv.write_bids(tmp_path / "data", [make(), make("02", seed=1)])
    first, _ = sorted(tmp_path.rglob("*.edf"))
    first.write_bytes(b"broken")
    inspection = inspect(tmp_path / "data")
    assert [one.kind for one in inspection.findings] == ["unreadable"]
    assert len(inspection.recordings) == 1


def test_a_data_set_is_opened_as_one_and_its_headers_are_looked_at(tmp_path, monkeypatch):
    data = patched(tmp_path, 8, b"X F X Doe_Jane   ")
    alike = [replace(make(), name="a"), replace(make("02", seed=1), name="a")]
    monkeypatch.setattr("ranvier.inspection.recognise", lambda path: path == data)
    monkeypatch.setattr("ranvier.inspection.read_data_set", lambda path: alike)
    inspection = inspect(data)
    assert [one.where for one in inspection.recordings] == ["a", "a (2)"]
    assert [one.kind for one in inspection.findings] == ["identity"]


def test_a_store_is_inspected_as_the_files_it_was_made_of(tmp_path, capsys):
    store = write_store([make(), louder(make("02", seed=1), 1000)], tmp_path / "store")
    assert main(["inspect", str(store), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {one["format"] for one in answer["recordings"]} == {"store"}
    assert [one["kind"] for one in answer["findings"]] == ["gain"]


def test_a_store_that_is_broken_is_said(tmp_path):
    store = write_store([make()], tmp_path / "store")
    next(store.glob("*.npy")).write_bytes(b"junk")
    assert "missing or damaged" in inspect(store).findings[0].sentence
    (store / "index.json").write_text('{"format": "ranvier store", "version": 9}')
    assert inspect(store).findings[0].sentence.endswith("has version 9, must be 1")


def test_features_in_a_store_are_no_signal_to_inspect(tmp_path):
    stages = [{"stage": "filter", "low": 0.5, "high": 40.0}, {"stage": "spectrum", "features": 8}]
    (found,) = inspect(write_store([after_stages(make(), stages)], tmp_path / "store")).findings
    assert (found.kind, found.severity) == ("unreadable", "unusable")
    assert found.sentence.startswith("features after filter, spectrum are no signal")


@pytest.mark.parametrize(("usable", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_it_can_be_used(tmp_path, usable, code, capsys):
    rv.write_bids(tmp_path / "data", [louder(make(), 1000)])
    path = tmp_path / "data" if usable else tmp_path / "nowhere"
    assert main(["inspect", str(path), "--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert answer["usable"] is usable
    assert answer["findings"][0]["kind"] == ("gain" if usable else "unreadable")


def test_the_page_says_each_finding_once(tmp_path, capsys):
    rv.write_bids(tmp_path / "data", [make(str(n), seed=n, start=None) for n in range(6)])
    assert main(["inspect", str(tmp_path / "data")]) == 0
    page = capsys.readouterr().out
    assert page.count("start_missing") == 1
    assert "and 3 more" in page
    assert f"recordings   6 of 6 subjects, {6 * SECONDS / 60:.1f} min in all" in page


@pytest.mark.parametrize("types", [(), ("focal", "generalised", "absence", "tonic")])
def test_simulated_seizures_are_silent(tmp_path, types):
    rv.write_bids(tmp_path / "data", rv.simulate_seizures(subjects=2, minutes=9, types=types))
    assert kinds(tmp_path / "data") == []


@pytest.mark.parametrize("files", ["binned", "spikes", "nwb"])
def test_simulated_movement_is_silent(tmp_path, files):
    words = ["--subjects=2", "--sessions=2", "--minutes=1", f"--files={files}"]
    assert main(["simulate", "movement", str(tmp_path / "data"), *words]) == 0
    assert kinds(tmp_path / "data") == []


@pytest.mark.real
def test_of_real_clips_only_what_is_there_is_found(real):
    found = {one.kind for one in inspect(real / "chbmit_clips").findings}
    assert found == {"flat", "duplicate_channel", "start_missing"}


@pytest.mark.real
def test_real_hypnograms_are_silent(real):
    inspection = inspect(real / "sleep_edf_hypnograms")
    assert (len(inspection.stages), inspection.findings) == (20, ())
