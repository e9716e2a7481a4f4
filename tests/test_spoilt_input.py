"""Bad input: one clear sentence and exit code 1, or repaired, flagged and decoded.

Every case is given to the program as a user gives it. Nothing may be left half-written, and no
traceback may be seen.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import LABELS, make_recording

import ranvier as rv
from ranvier.__main__ import main

SECONDS = 40
SIGNALS = len(LABELS)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    recording = make_recording("08").until(SECONDS)
    path = tmp_path_factory.mktemp("sound") / "sound.edf"
    return rv.write_edf(path, recording.read(), recording.layout)


def with_bytes(path: Path, start: int, text: str) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + len(text)] = text.encode()
    path.write_bytes(bytes(content))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def field_of(signal: int, offset: int, width: int) -> int:
    return 256 + SIGNALS * offset + signal * width


def every_label(path: Path, label: str) -> None:
    for signal in range(SIGNALS):
        with_bytes(path, field_of(signal, 0, 16), label.ljust(16))


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], rate: float = 256) -> None:
    signal = rv.read(path)[0].read()
    rv.write_edf(path, change(signal), rv.Layout(LABELS, rate))


HEADER = 256 * (SIGNALS + 1)

FATAL = {
    "empty file": (lambda p: cut(p, 0), "not an EDF file"),
    "cut inside the fixed header": (lambda p: cut(p, 100), "header"),
    "cut inside the signal headers": (lambda p: cut(p, 900), "header"),
    "header alone": (lambda p: cut(p, HEADER), "record"),
    "not EDF": (lambda p: p.write_bytes(b"\x89PNG" * 500), "EDF"),
    "a text file": (lambda p: p.write_text("onset\tduration\n" * 100), "EDF"),
    "more channels promised than exist": (lambda p: with_bytes(p, 252, "9999"), "9999"),
    "no channels": (lambda p: with_bytes(p, 252, "0   "), "signals"),
    "number of channels is a word": (lambda p: with_bytes(p, 252, "many"), "many"),
    "negative record duration": (lambda p: with_bytes(p, 244, "-1      "), "-1"),
    "record duration is a word": (lambda p: with_bytes(p, 244, "one     "), "one"),
    "header size lies": (lambda p: with_bytes(p, 184, "512     "), "512"),
    "no usable lead": (lambda p: every_label(p, "ECG"), "No usable lead"),
    "a rate too low": (lambda p: rewrite(p, lambda x: x[: SECONDS * 64], 64.0), "64 Hz"),
    "samples per record is a word": (
        lambda p: with_bytes(p, field_of(0, 216, 8), "lots    "),
        "lots",
    ),
    "missing file": (lambda p: p.unlink(), "no such file"),
}


@pytest.fixture
def spoilt(tmp_path, sound) -> Path:
    return Path(shutil.copy(sound, tmp_path / "spoilt.edf"))


@pytest.mark.parametrize("case", FATAL)
def test_what_cannot_be_decoded_is_one_sentence(case, spoilt, decoder_file, tmp_path, capsys):
    spoil, expected = FATAL[case]
    spoil(spoilt)
    code = main(["decode", str(decoder_file), str(spoilt), "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert code == 1
    assert expected in said.err
    assert said.err.strip().count("\n") == 0
    assert "Traceback" not in said.err
    assert not list(tmp_path.rglob("*.tsv"))


def relabelled_volts(path: Path) -> None:
    signal = rv.read(path)[0].read() * 1e-6
    limit = float(np.abs(signal).max()) * 1.01
    rv.write_edf(path, signal, rv.Layout(LABELS, 256.0), physical_range=(-limit, limit))


def in_volts(path: Path) -> None:
    relabelled_volts(path)
    for channel in range(SIGNALS):
        with_bytes(path, field_of(channel, 96, 8), "V       ")


def with_dead_lead(path: Path) -> None:
    def flatten(signal: np.ndarray) -> np.ndarray:
        signal[:, 2] = 0.0
        return signal

    rewrite(path, flatten)


def without_lead(path: Path) -> None:
    with_bytes(path, field_of(2, 0, 16), "unknown".ljust(16))


def without_range(path: Path) -> None:
    lowest = field_of(18, 104, 8)
    with_bytes(path, field_of(18, 112, 8), path.read_bytes()[lowest : lowest + 8].decode())


REPAIRED = {
    "shorter than the header says": (lambda p: cut(p, p.stat().st_size * 2 // 3), "promise"),
    "cut in the middle of a record": (lambda p: cut(p, p.stat().st_size - 1001), "promise"),
    "bytes after the end": (lambda p: p.write_bytes(p.read_bytes() + b"x" * 777), "bytes"),
    "number of records unknown": (lambda p: with_bytes(p, 236, "-1      "), "record"),
    "broken start date": (lambda p: with_bytes(p, 168, "01:01:85"), "start"),
    "a dead lead": (with_dead_lead, "not valid"),
    "a lead is missing": (without_lead, "C3-P3"),
    "volts labelled as µV": (relabelled_volts, "volts"),
    "one channel without a range": (without_range, "left out"),
    "shorter than one window": (lambda p: rewrite(p, lambda x: x[:128]), "shorter than one window"),
    "hardly longer than the warm-up": (
        lambda p: rewrite(p, lambda x: x[: 3 * 256]),
        "none of 3 outputs is valid",
    ),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_what_can_be_repaired_is_decoded_and_flagged(case, spoilt, decoder_file, tmp_path, capsys):
    spoil, expected = REPAIRED[case]
    spoil(spoilt)
    words = ["decode", str(decoder_file), str(spoilt), "--out", str(tmp_path), "--json"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert expected in said.err
    (answer,) = json.loads(said.out)["recordings"]
    assert any(expected in note for note in answer["notes"])
    events = rv.read_events(tmp_path / "spoilt_events.tsv")
    assert events.duration == pytest.approx(answer["duration"], abs=0.005)


def test_units_other_than_microvolts_are_converted(spoilt, decoder_file, tmp_path, capsys):
    in_volts(spoilt)
    assert main(["decode", str(decoder_file), str(spoilt), "--out", str(tmp_path)]) == 0


def test_two_seconds_of_nan_are_flagged_and_the_rest_is_decoded(decoder):
    whole, broken = make_recording("08"), make_recording("08")
    signal = broken.read()
    signal[100 * 256 : 102 * 256] = np.nan
    broken = rv.Recording.from_array(signal, 256, LABELS, name="broken")
    one, two = decoder.predict(whole), decoder.predict(broken)
    assert "outputs are not valid: the signal has gaps" in " ".join(two.notes)
    np.testing.assert_array_equal(one.probability[:100], two.probability[:100])
    assert np.isfinite(two.probability[-60:]).all()


def test_one_lead_that_is_nan_leaves_the_others_to_answer(decoder):
    signal = make_recording("08").read()
    signal[:, 4] = np.nan
    found = decoder.predict(rv.Recording.from_array(signal, 256, LABELS))
    assert np.isfinite(found.probability[10:]).all()
    assert any("P3-O1" in note for note in found.notes)


def test_a_recording_of_nothing_but_nan_has_no_invented_result(decoder):
    signal = np.full((2560, SIGNALS), np.nan)
    found = decoder.predict(rv.Recording.from_array(signal, 256, LABELS))
    assert not len(found.events)
    assert "none of 10 outputs is valid" in found.notes


def test_events_beyond_the_end_are_cut_and_flagged(tmp_path, recordings):
    folder = rv.write_bids(tmp_path / "bids", recordings[:1])
    (table,) = folder.rglob("*_events.tsv")
    late = rv.Events.from_intervals([(170, 400)], 180)
    rv.write_events(table, late)
    (recording,) = rv.read(folder)
    assert recording.events.intervals().max() == 180
    assert recording.notes


def test_an_empty_folder_is_one_sentence(tmp_path, decoder_file, capsys):
    assert main(["decode", str(decoder_file), str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "No recordings found in" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["decode", "live", "certify"])
def test_a_cut_decoder_is_one_sentence(command, tmp_path, decoder_file, sound, capsys):
    broken = tmp_path / "broken.ranvier"
    broken.write_bytes(decoder_file.read_bytes()[:5000])
    more = {"decode": [str(sound), "--out", str(tmp_path)], "certify": [str(sound)]}
    words = more.get(command, ["--source", f"replay:{sound}"])
    assert main([command, str(broken), *words]) == 1
    assert "is not a whole decoder file" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_one_sentence(decoder_file, sound, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file, not a folder")
    words = ["decode", str(decoder_file), str(sound), "--out", str(tmp_path / "taken")]
    assert main(words) == 1
    assert "cannot be written to" in capsys.readouterr().err


def test_one_bad_file_does_not_stop_the_others(sound, spoilt, decoder_file, tmp_path, capsys):
    cut(spoilt, 100)
    words = ["decode", str(decoder_file), str(spoilt), str(sound), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "not decoded" in said.err
    assert "sound: " in said.out


def test_an_empty_table_of_annotations_is_one_sentence(tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("")
    assert main(["score", str(tmp_path / "a.tsv"), str(tmp_path / "a.tsv")]) == 1
    assert str(tmp_path / "a.tsv") in capsys.readouterr().err


def test_recordings_without_annotations_teach_nothing(tmp_path, sound, capsys):
    words = ["train", "--data", str(sound.parent), "--out", str(tmp_path)]
    assert main(words) == 1
    assert "none of 1 recordings is annotated" in capsys.readouterr().err


def test_an_unknown_source_is_one_sentence(decoder_file, capsys):
    assert main(["live", str(decoder_file), "--source", "serial:COM3"]) == 1
    assert "Invalid source: 'serial:COM3'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        "--training.passes=0",
        "--task=moods",
        "--network=perceptron",
        "--network_settings.memory=cary",
        "--network_settings.features=50",
        "--stages=[]",
        "--seed=-1",
        "--device=abacus",
        "--name=a/b",
        "--threads=0",
    ],
)
def test_impossible_settings_are_one_sentence(option, bids, tmp_path, capsys):
    assert main(["train", "--data", str(bids), "--out", str(tmp_path), option]) == 1
    assert "Invalid " in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.ranvier"))


def test_a_stream_without_a_valid_output_certifies_nothing(decoder_file, tmp_path, capsys):
    layout = rv.Layout(LABELS, 256.0)
    rv.write_edf(tmp_path / "flat.edf", np.zeros((2560, SIGNALS)), layout)
    assert main(["certify", str(decoder_file), str(tmp_path / "flat.edf")]) == 1
    assert "nothing to compare on flat: none of 10 outputs is valid" in capsys.readouterr().out


def test_a_folder_is_no_file(decoder_file, bids, capsys):
    assert main(["certify", str(decoder_file), str(bids)]) == 1
    assert "holds 8 recordings, must be one" in capsys.readouterr().err


def test_recordings_without_annotations_are_named(tmp_path, recordings, capsys):
    folder = rv.write_bids(
        tmp_path / "bids", [*recordings[:6], replace(recordings[6], events=None)]
    )
    words = ["train", "--data", str(folder), "--out", str(tmp_path / "out")]
    assert main([*words, "--training.passes=1", "--training.stretch=60"]) == 0
    said = capsys.readouterr()
    assert "trained on 6 recordings" in said.out
    assert "it is not annotated and was left out" in said.err
