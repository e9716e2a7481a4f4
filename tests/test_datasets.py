"""The room of the data sets as a whole, and the command that lists them."""

import json
from pathlib import Path

import pytest
from small_data_sets import edf

from ranvier.__main__ import main
from ranvier.datasets import DATASETS, data_set, read, recognise

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


@pytest.mark.parametrize("name", [n for n in DATASETS if data_set(n).task == "seizure"])
def test_every_data_set_of_seizures_is_on_the_page(name):
    assert f"`{name}`" in (ROOT / "docs" / "datasets.md").read_text()


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
