"""Files are written whole or not at all."""

import errno
from pathlib import Path

import pytest

from ranvier.writing import replacing, write_text


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    with replacing(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "deep" / "a.txt").exists()
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"


def write_half_of(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt):
        write_half_of(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_full_disk_is_said_with_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left on device: .*/a\.tsv'"):
        write_text(tmp_path / "a.tsv", "text")
    assert list(tmp_path.iterdir()) == []
