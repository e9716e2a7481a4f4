"""What stages gave lies in a store, and is the same to everything that learns from it."""

import json

import numpy as np
import pytest
from conftest import QUICK

import ranvier as rv
from ranvier.__main__ import main
from ranvier.recipe import packaged_recipe
from ranvier.signal_store import INDEX, read_store, write_store
from ranvier.staged import after_stages, storable
from ranvier.stages import build
from ranvier.store import prepare, stages_done
from ranvier.stored_recording import origin_of

STAGES = tuple(packaged_recipe("seizure", "rest").stages)
SPECTRA = STAGES[:5]


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "stages.yaml"
    path.write_text(json.dumps({"stages": [*STAGES, {"stage": "standardise"}]}))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory, bids, recipe_file):
    folder = tmp_path_factory.mktemp("features") / "store"
    assert main(["prepare", str(bids), str(folder), "--stages", str(recipe_file), "--quiet"]) == 0
    return folder


def test_spectra_are_stored_and_come_back_equal(store, bids):
    for one, raw in zip(rv.read(store), rv.read(bids), strict=True):
        pipeline = build(SPECTRA, raw.layout)
        whole, _ = pipeline.step(raw.read()[None], pipeline.initial_state(1))
        np.testing.assert_array_equal(one.reader(0, one.samples), whole[0])
        np.testing.assert_array_equal(one.reader(7, 9), whole[0, 7:9])


def test_the_index_says_what_came_in_and_what_was_done(store, recordings):
    entry = json.loads((store / INDEX).read_text())["recordings"][0]
    assert entry["shape"] == [180, 18, 100]
    assert entry["origin"]["stages"] == list(map(dict, SPECTRA))
    assert (entry["origin"]["rate"], entry["origin"]["samples"]) == (256.0, 180 * 256)
    assert origin_of(rv.read(store)[0]).layout == recordings[0].layout


def test_what_is_not_stored_is_left_to_training(recordings):
    unfitted = {"stage": "standardise"}
    assert storable([*STAGES, unfitted], recordings[0]) == [*SPECTRA]
    signals = [*STAGES[:2], {"stage": "pick", "channels": ["Fp1-F3"]}]
    assert storable(signals, recordings[0]) == signals
    with pytest.raises(ValueError, match=r"all are left to training, .* must begin with one"):
        storable([unfitted], recordings[0])
    with pytest.raises(ValueError, match="all are left to training"):
        storable(STAGES[5:], after_stages(recordings[0], SPECTRA))


@pytest.mark.parametrize("count", [2, 4, 5, 6])
def test_stages_go_on_from_where_the_store_ends(recordings, tmp_path, count):
    raw = recordings[0]
    stored = read_store(write_store([after_stages(raw, STAGES[:count])], tmp_path / "store"))[0]
    assert stages_done(stored, STAGES) == count
    one, other = (
        prepare([each], STAGES, tmp_path / "prepared", truth_of=lambda known: known.events)[0]
        for each in (raw, stored)
    )
    np.testing.assert_array_equal(one.features(), other.features())
    assert (one.duration, one.first, one.hop) == (other.duration, other.first, other.hop)
    assert (one.notes, one.layout) == (other.notes, other.layout)
    np.testing.assert_array_equal(one.targets(), other.targets())


def test_stages_on_what_is_stored_are_told_together(recordings, tmp_path):
    once = read_store(write_store([after_stages(recordings[0], STAGES[:2])], tmp_path / "a"))[0]
    twice = read_store(write_store([after_stages(once, STAGES[2:5])], tmp_path / "b"))[0]
    assert origin_of(twice).stages == tuple(map(dict, SPECTRA))
    np.testing.assert_array_equal(
        twice.reader(0, 180), after_stages(recordings[0], SPECTRA).reader(0, 180)
    )


@pytest.mark.slow
def test_an_evaluation_of_the_store_gives_the_numbers_of_the_files(store, bids, tmp_path, capsys):
    scores = []
    for data in (bids, store):
        quick = ("--training.passes=1", "--training.stretch=40", "--folds=2", "--fold=0")
        words = ("--data", str(data), "--out", str(tmp_path / data.name), *quick)
        assert main(["evaluate", *words, "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0]["scores"] == scores[1]["scores"]
    assert scores[0]["baseline"] == scores[1]["baseline"]
    assert "file and live agree" in scores[0]["certified"]
    assert "the store holds what stages gave" in scores[1]["certified"]


def test_a_decoder_that_is_trained_on_the_store_decodes_files(store, bids, recordings):
    from_files = rv.train("seizure", rv.read(bids)[:6], training=QUICK)
    from_store = rv.train("seizure", rv.read(store)[:6], training=QUICK)
    one, other = (each.predict(recordings[7]) for each in (from_files, from_store))
    np.testing.assert_array_equal(one.values, other.values)


def test_features_are_not_taken_for_a_signal(store, tmp_path):
    other = [*STAGES[:3], {"stage": "filter", "low": 1.0, "high": None}, *STAGES[4:]]
    with pytest.raises(ValueError, match=r"holds features after mark_flat, .*, spectrum, must"):
        rv.evaluate("seizure", rv.read(store), stages=other, training=QUICK)


def test_a_store_that_the_baseline_cannot_go_on_from_is_refused(recordings, tmp_path):
    stages = [*STAGES[:3], {"stage": "filter", "low": 1.0, "high": None}, *STAGES[4:]]
    staged = [after_stages(one, stages[:4]) for one in recordings]
    with pytest.raises(ValueError, match=r"such as mark_flat, derive_montage, resample$"):
        rv.evaluate("seizure", staged, stages=stages, training=QUICK, out=tmp_path)


def test_a_part_of_features_and_a_cut_in_time_are_refused(store):
    whole = rv.read(store)
    with pytest.raises(ValueError, match="is a part of features of a store, must be all of them"):
        rv.train("seizure", [one.since(60) for one in whole], training=QUICK)
    for learn in (rv.evaluate, rv.train):
        with pytest.raises(ValueError, match=r"Invalid split: 'time' for .* prepared with stages"):
            learn("seizure", whole, split="time", training=QUICK)
