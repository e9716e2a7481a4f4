"""What a SzCORE container runs: a valid table comes out, whatever comes in."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import make_recording

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.export.szcore_entry import HEADER, main, table
from ranvier.formats import read_events
from ranvier.recording import Layout
from ranvier.signal import DeriveMontage
from ranvier.truth import Events

START = datetime(2023, 7, 24, 13, 58, 32)


@pytest.fixture(scope="module")
def seizure():
    return make_recording("04")


@pytest.fixture
def run(tmp_path, decoder_file):
    """Run the program on a file and return its exit code and the table's lines."""

    def on(source: Path, target: Path | None = None) -> tuple[int, list[str]]:
        table = target or tmp_path / "table.tsv"
        code = main([str(decoder_file), str(source), str(table)])
        return code, table.read_text().splitlines()

    return on


@pytest.fixture
def edf(tmp_path):
    def write(signal, channels, rate=256.0) -> Path:
        return rv.write_edf(tmp_path / "in.edf", signal, Layout(channels, rate), start=START)

    return write


def noise(seconds: float, channels: int, rate: float = 256.0) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 20, (round(seconds * rate), channels))


def cells(lines: list[str]) -> list[list[str]]:
    return [line.split("\t") for line in lines[1:]]


class TestProgram:
    def test_finds_the_same_in_referential_and_bipolar_files(self, run, edf, seizure):
        signal = seizure.read()
        code, lines = run(edf(signal, seizure.layout.channels))
        stage = DeriveMontage(seizure.layout, "double_banana")
        bipolar, _ = stage.step(signal[None], stage.initial_state(1))
        both = run(edf(bipolar[0], DOUBLE_BANANA))
        assert code == both[0] == 0
        assert [row[2] for row in cells(lines)] == ["sz"]
        assert cells(lines) == cells(both[1])

    def test_says_what_the_decoder_says(self, run, edf, seizure, decoder, tmp_path):
        path = edf(seizure.read(), seizure.layout.channels)
        run(path)
        found = read_events(tmp_path / "table.tsv")
        assert found.duration == 180
        assert found.start == START
        expected = decoder.decode(path).intervals()
        np.testing.assert_allclose(found.intervals(), expected, atol=0.005)

    def test_gives_seven_columns_and_the_exact_length(self, run, edf):
        code, lines = run(edf(noise(61.5, 19), TEN_TWENTY))
        assert code == 0
        assert lines[0] == HEADER
        expected = ["0.00", "61.50", "bckg", "n/a", "n/a", "2023-07-24 13:58:32", "61.50"]
        assert cells(lines) == [expected]

    def test_says_background_of_what_cannot_be_decoded(self, run, edf, capsys):
        code, lines = run(edf(noise(5, 2), ("X1", "X2")))
        assert code == 0
        assert [row[:3] for row in cells(lines)] == [["0.00", "5.00", "bckg"]]
        assert "note: nothing was decoded: in: No usable lead" in capsys.readouterr().err

    def test_keeps_the_length_of_a_file_with_gaps(self, run, tmp_path):
        code, lines = run(with_gap(tmp_path / "gap.edf", [0, 1, 2, 60, 61]))
        assert code == 0
        assert [row[2] for row in cells(lines)] == ["bckg"]
        assert cells(lines)[0][-1] == "62.00"

    @pytest.mark.parametrize("content", [b"", b"no recording", None])
    def test_refuses_a_file_that_cannot_be_read_and_leaves_a_header(self, run, tmp_path, content):
        source = tmp_path / "in.edf"
        if content is not None:
            source.write_bytes(content)
        assert run(source) == (1, [HEADER])

    def test_refuses_a_broken_decoder_and_leaves_a_header(self, edf, tmp_path, capsys):
        table = tmp_path / "table.tsv"
        source = str(edf(noise(2, 19), TEN_TWENTY))
        assert main([str(tmp_path / "none.ranvier"), source, str(table)]) == 1
        assert table.read_text() == HEADER + "\n"
        assert "does not exist" in capsys.readouterr().err

    def test_has_said_background_before_it_fails(self, run, edf, tmp_path, monkeypatch):
        monkeypatch.setattr(rv.Decoder, "predict", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(edf(noise(2, 19), TEN_TWENTY))
        lines = (tmp_path / "table.tsv").read_text().splitlines()
        assert [row[2] for row in cells(lines)] == ["bckg"]

    def test_writes_into_a_file_that_is_there(self, run, edf, tmp_path):
        table = tmp_path / "there.tsv"
        table.write_text("much longer than what comes\n" * 99)
        node = table.stat().st_ino
        _, lines = run(edf(noise(2, 19), TEN_TWENTY), table)
        assert len(lines) == 2
        assert table.stat().st_ino == node

    def test_refuses_a_folder_for_a_table(self, edf, tmp_path, decoder_file, capsys):
        given = [decoder_file, edf(noise(2, 19), TEN_TWENTY), tmp_path]
        assert main([str(one) for one in given]) == 1
        assert "is a folder, must be the name of a table" in capsys.readouterr().err

    def test_tells_how_it_is_used(self, capsys):
        assert main([]) == 2
        assert "usage:" in capsys.readouterr().err


def with_gap(path: Path, onsets: list[int]) -> Path:
    """Write a discontinuous EDF+ of records of a second of 19 leads."""
    from test_edf import edf_bytes

    rng = np.random.default_rng(2)
    content = b"".join(
        rng.normal(0, 300, (19, 256)).astype("<i2").tobytes()
        + f"+{onset}\x14\x14".encode().ljust(32, b"\0")
        for onset in onsets
    )
    leads = tuple({"label": lead, "samples": 256} for lead in TEN_TWENTY)
    channels = (*leads, {"label": "EDF Annotations", "samples": 16})
    path.write_bytes(edf_bytes(channels, content, reserved="EDF+D", records=len(onsets)))
    return path


def test_events_of_no_known_length_are_no_rows():
    assert table(Events((), float("nan"))) == HEADER + "\n"
    assert table(Events((), 0.0)) == HEADER + "\n"
