"""The room of the data sets as a whole, and the command that lists them."""

import json
from pathlib import Path

import pytest
from small_data_sets import edf

from ranvier.__main__ import main
from ranvier.commands.datasets import COLUMNS, row_of
from ranvier.datasets import DATASETS, data_set, opened, read, read_file, read_one, recognise
from ranvier.formats import read as read_files

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_says_what_it_is(name):
    one = data_set(name)
    assert one.name == name
    assert one.title
    assert one.licence
    assert one.citation
    assert one.page.startswith("https://")
    assert not one.access or one.access.endswith(".")
    assert not (one.access and one.archive)


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_on_the_page(name):
    assert f"`{name}`" in (ROOT / "docs" / "datasets.md").read_text()


@pytest.mark.parametrize(
    ("name", "terms"),
    [("chb-mit", "open"), ("dod", "open"), ("attn-sleep-npz", "self-made"), ("tusz", "on request")],
)
def test_the_list_says_who_must_be_asked(name, terms):
    assert row_of(data_set(name))[COLUMNS.index("access")] == terms


def test_recordings_stay_as_they_are_and_what_is_none_is_read(tmp_path, recordings, bids):
    assert all(one is other for one, other in zip(opened(recordings), recordings, strict=True))
    assert opened(recordings[0]) == [recordings[0]]
    assert [one.name for one in opened(bids)] == [one.name for one in read(bids)]


@pytest.mark.parametrize("reading", [read, read_files])
def test_nothing_at_all_cannot_be_read(reading):
    with pytest.raises(ValueError, match="Invalid source: no recordings, must be at least one"):
        reading([])


def test_plain_files_and_bids_folders_are_no_data_set(tmp_path, bids):
    edf(tmp_path / "train" / "chb01_01.edf")
    edf(tmp_path / "PN00" / "a.edf")
    assert recognise(tmp_path) is None
    assert recognise(bids) is None
    assert len(read(tmp_path)) == 2


def test_a_stranger_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"Invalid data set: 'nothing', possible .*'chb-mit'"):
        data_set("nothing")


def test_the_command_lists_all(capsys):
    assert main(["datasets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "task", "subjects", "hours", "GB", "access", "licence"]
    assert [line.split()[0] for line in lines[1:]] == list(DATASETS)


def test_the_command_describes_one_and_what_to_cite(capsys):
    assert main(["datasets", "chb-mit"]) == 0
    said = capsys.readouterr().out
    assert "doi:10.13026/C2K01R" in said
    assert "physionet, chbmit/1.0.0" in said


def test_the_command_answers_in_json(capsys):
    assert main(["datasets", "upenn-mayo", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["hours"] is None
    assert content["archive"] is None


def test_the_command_refuses_a_stranger(capsys):
    assert main(["datasets", "nothing"]) == 1
    assert "Invalid data set: 'nothing'" in capsys.readouterr().err


def test_the_command_says_how_a_decoder_is_tested_on_it(capsys):
    assert main(["datasets", "dod"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("evaluate  ranvier evaluate --task sleep --stages '[{")
    assert said.endswith("--data FOLDER --out results")
    assert main(["datasets", "upenn-mayo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluate"] is None


def test_a_folder_with_spaces_is_quoted_in_the_command():
    assert "--data 'my data' --out results" in data_set("chb-mit").command("my data")


def test_a_file_that_is_of_no_data_set_is_read_as_it_is(tmp_path):
    path = edf(tmp_path / "patient.edf")
    assert read_file(path) is None
    assert read_one(path).name == "patient"
    assert read_file(tmp_path) is None
