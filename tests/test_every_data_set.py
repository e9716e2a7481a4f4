"""Every data set from its published layout to a tested decoder, by the commands that users run."""

import json
import shlex

import numpy as np
import pytest
from small_trees import TREES, TUSZ_OLD, tusz

import ranvier as rv
from ranvier.__main__ import main
from ranvier.datasets import DATASETS, data_set, read, read_one

QUICK = ("--training.passes=1", "--training.batch=4", "--training.stretch=30", "--quiet")
FILES = {
    "chb-mit": "chb02/chb02_01.edf",
    "siena": "PN01/PN01-1.edf",
    "tusz": "edf/eval/aaaaaaaq/s001_2002/01_tcp_ar/aaaaaaaq_s001_t000.edf",
    "seizeit1": "P_ID11/P_ID11_r1.edf",
    "upenn-mayo": "Dog_1/Dog_1_interictal_segment_2.mat",
    "sleep-edf": "sleep-telemetry/ST7011J0-PSG.edf",
    "shhs": "polysomnography/edfs/shhs1/shhs1-200003.edf",
    "nsrr": "polysomnography/edfs/mesa-sleep-0002.edf",
    "dod": "dodo/3e842aa8-bcd9-521e-93a2-72124233fe03.h5",
    "attn-sleep-npz": "SC4011E0.npz",
    "indy-loco": "loco_20170210_03.mat",
}
"""One recording of each small tree."""
FEWER = {"tusz": (), "indy-loco": ("--fold", "0", "--network", "wiener")}
"""What makes an evaluation short; else one fold of three."""
EVALUATED = [name for name in DATASETS if data_set(name).command("FOLDER")]


@pytest.fixture(scope="module", params=DATASETS)
def tree(request, tmp_path_factory):
    pytest.importorskip("h5py")
    return request.param, TREES[request.param](tmp_path_factory.mktemp("tree"))


def known(recording):
    return recording.layout, recording.samples, recording.subject, recording.notes


def test_a_folder_is_inspected_before_anything_is_trained(tree, capsys):
    _, folder = tree
    assert main(["inspect", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["recordings"]) == len(read(folder))
    assert not [one for one in said["findings"] if one["severity"] == "unusable"]


def test_a_file_alone_is_what_it_is_in_its_folder(tree):
    name, folder = tree
    alone = read_one(folder / FILES[name])
    (inside,) = [one for one in read(folder) if one.name == alone.name]
    assert known(alone) == known(inside)
    assert alone.events == inside.events
    assert alone.hypnogram == inside.hypnogram
    np.testing.assert_array_equal(alone.read(0, 1), inside.read(0, 1))


def test_a_store_gives_back_what_the_files_say(tree, tmp_path, capsys):
    _, folder = tree
    assert main(["prepare", str(folder), str(tmp_path / "store"), "--quiet"]) == 0
    assert f"{len(read(folder))} recordings of" in capsys.readouterr().out
    stored = {(one.name, one.subject): one for one in read(tmp_path / "store")}
    for one in read(folder):
        other = stored[one.name, one.subject]
        assert known(one) == known(other)
        np.testing.assert_array_equal(one.read(), other.read())


@pytest.mark.slow
@pytest.mark.parametrize("name", EVALUATED)
def test_the_command_that_is_said_trains_tests_and_decodes(name, tmp_path, capsys):
    (data := tmp_path / "data").mkdir()
    folder = TREES[name](data)
    command = shlex.split(data_set(name).command(str(folder), str(tmp_path / "out")))
    fewer = FEWER.get(name, ("--folds", "3", "--fold", "0"))
    assert main([*command[1:], *QUICK, *fewer]) == 0
    assert "file and live agree" in capsys.readouterr().out
    decoder = next((tmp_path / "out").glob("fold-*/decoder.ranvier"))
    file = folder / FILES[name]
    assert rv.load(decoder).predict(read_one(file)).valid.mean() > 0.8
    for number, place in enumerate((file, file.parent)):
        out = str(tmp_path / f"decoded-{number}")
        assert main(["decode", str(decoder), str(place), "--out", out]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", ["seizure", "seizure_type"])
@pytest.mark.parametrize("old", [False, True])
def test_both_tasks_learn_from_tusz_in_both_of_its_layouts(task, old, tmp_path, capsys):
    patients = {"train": "00000258 00000302", "dev_test": "00000629", "eval": "00000715"}
    folder = tusz(tmp_path, TUSZ_OLD, **patients) if old else tusz(tmp_path)
    options = ("--protocol", "official", "--data", str(folder), "--out", str(tmp_path / "out"))
    assert main(["evaluate", "--task", task, *options, *QUICK]) == 0
    assert "file and live agree" in capsys.readouterr().out


@pytest.mark.slow
def test_clips_of_one_subject_are_learnt_from_and_decoded(tmp_path):
    folder = TREES["upenn-mayo"](tmp_path)
    stages = '[{"stage": "resample", "rate_out": 100.0}]'
    carried = '{"memory": "carry", "segment": 5, "warm_up": 1}'
    network = ("--network", "lstm", "--network_settings", carried)
    short = ("--training.passes=1", "--training.stretch=0.5", "--training.segment=0.5")
    words = ("--data", str(folder / "Dog_1"), "--out", str(tmp_path / "out"), "--split", "time")
    assert main(["train", *words, "--stages", stages, *network, *short, "--quiet"]) == 0
    clip = read_one(folder / FILES["upenn-mayo"])
    assert len(rv.load(tmp_path / "out" / "decoder.ranvier").predict(clip).valid) >= 19


def test_what_cannot_be_tested_on_others_is_told_no_command():
    assert set(DATASETS) - set(EVALUATED) == {"upenn-mayo"}
