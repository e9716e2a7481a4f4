"""An evaluation that was kept is scored again: the same, or by another rule, without training."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import make_recording

import ranvier as rv
from ranvier.__main__ import main
from ranvier.fold_files import (
    FoldResult,
    complete_fold,
    keep_fold,
    keep_truth,
    read_fold,
    read_recipe,
    read_truth,
)
from ranvier.rescoring import keep_live, load_evaluation, read_live
from ranvier.seizure_types import TypedSeizures

PASSES = ["--training.passes=2", "--training.stretch=40", "--training.segment=20"]
LINEAR = {"network": "wiener", "network_settings": {"window": 6, "least": 2}}
RARE = {"threshold": 0.9, "minimum_seconds": 1.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    recordings = [make_recording(f"0{number}", seconds=120) for number in (1, 2, 3, 4)]
    return rv.write_bids(tmp_path_factory.mktemp("data") / "bids", recordings)


@pytest.fixture(scope="module")
def result(tmp_path_factory, data) -> Path:
    out = tmp_path_factory.mktemp("kept") / "result"
    words = ["--data", str(data), "--out", str(out), "--folds", "2", *PASSES]
    subprocess.run([sys.executable, "-m", "ranvier", "evaluate", *words], check=False)
    assert (out / "scores.json").exists()
    shutil.rmtree(out / "prepared")
    return out


@pytest.fixture
def folder(result, tmp_path) -> Path:
    return Path(shutil.copytree(result, tmp_path / "copy"))


@pytest.fixture(scope="module")
def moved(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("moved")
    rv.evaluate("movement", rv.simulate_reaches(subjects=2, minutes=1), out=out, **LINEAR)
    return out


def rescore(folder: Path, *words: object) -> int:
    return main(["evaluate", "--rescore", str(folder), *map(str, words)])


def scores_in(folder: Path) -> dict:
    return json.loads((folder / "scores.json").read_text())


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_scoring_again_gives_the_same_files_without_the_recordings(result, folder):
    written = ("scores.json", "report.html", "classification.txt", "classification.csv")
    for name in written:
        (folder / name).unlink()
    rescore(folder)
    for name in written:
        assert (folder / name).read_text() == (result / name).read_text(), name


def test_the_same_exit_code_and_verdict_are_told_again(folder, capsys):
    certified, latency = read_live(folder)
    assert rescore(folder) == (0 if certified.equal else 1)
    assert str(certified) in capsys.readouterr().out
    assert latency["age_seconds"]["p50"] > 0


def test_another_rule_decides_the_kept_probabilities_again(folder, capsys):
    before = scores_in(folder)
    rescore(folder, "--rule.threshold", 0.9, "--rule.minimum_seconds", 1)
    assert "not certified again" in capsys.readouterr().out
    after = scores_in(folder / "rescored")
    assert after["recipe"]["rule"] == {**before["recipe"]["rule"], **RARE}
    assert after["scores"]["pooled"]["auroc"] == before["scores"]["pooled"]["auroc"]
    assert scores_in(folder) == before


def test_a_rule_that_is_the_usual_one_is_a_rule_as_well(folder):
    rescore(folder, "--rule.threshold", 0.5, "--out", folder / "half")
    assert {fold.decoder.rule.threshold for fold in load_evaluation(folder).folds} != {0.5}
    said = scores_in(folder / "half")["certificates"][0]["chosen_on"]
    assert said["rule of alarms, set by hand when the scores were known,"] == "test"
    assert "alarm threshold" not in said


def test_in_python_a_rule_is_given_by_its_fields(result):
    kept, again = rv.load_evaluation(result), rv.load_evaluation(result, **RARE)
    for one, other in zip(kept.predictions, again.predictions, strict=True):
        assert other.rule == replace(one.rule, **RARE)
        assert other.events.items == one.decided_by(other.rule).events.items


def test_the_baseline_keeps_the_threshold_that_was_chosen_for_it(result):
    kept, again = rv.load_evaluation(result), rv.load_evaluation(result, **RARE)
    for one, other in zip(kept.folds, again.folds, strict=True):
        assert other.baseline_rule == replace(one.baseline_rule, minimum_seconds=1.0)
        assert all(found.rule == other.baseline_rule for found in other.baseline)


def test_folds_that_are_not_finished_are_named_and_the_others_scored(folder, capsys):
    (folder / "fold-1" / "fold.json").unlink()
    rescore(folder)
    assert "1 of 2 folds are not finished and are not scored: fold-1" in capsys.readouterr().err
    assert len(rv.load_evaluation(folder).predictions) == 2
    assert scores_in(folder)["missing_folds"] == ["fold-1"]
    assert "fold-1" in (folder / "report.html").read_text()


def test_a_fold_of_another_run_is_not_scored(folder):
    change(folder / "fold-0" / "fold.json", key="another")
    assert rv.load_evaluation(folder).missing == ("fold-0",)


def test_a_verdict_on_other_folds_is_not_told(folder):
    change(folder / "live.json", folds={"fold-0": "another"})
    assert read_live(folder) == (None, {})


def test_a_difference_without_end_is_kept(folder):
    certified, latency = read_live(folder)
    keep_live(folder, replace(certified, difference=float("inf")), latency)
    assert read_live(folder)[0].difference == float("inf")


@pytest.mark.parametrize(
    "name",
    ["folds.json", "recipe.yaml", "live.json"]
    + [f"fold-0/{one}" for one in ("fold.json", "predictions.npz", "baseline.npz")]
    + ["fold-0/decoder.ranvier"],
)
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", b"[1]", b'{"a": 1}'])
def test_a_broken_file_is_one_sentence_that_names_it(folder, capsys, name, damage):
    (folder / name).write_bytes(damage)
    assert rescore(folder) == 1
    said = capsys.readouterr().err.strip()
    assert name in said
    assert said.count("\n") == 0


@pytest.mark.parametrize("name", ["predictions.npz", "baseline.npz", "decoder.ranvier", "truth"])
def test_a_missing_file_is_one_sentence_that_names_it(folder, name):
    gone = folder / "fold-0" / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(ValueError, match=name):
        rv.load_evaluation(folder)


def test_a_recording_of_which_nothing_is_annotated_is_one_sentence(folder):
    change(folder / "fold-0" / "fold.json", truth={})
    with pytest.raises(ValueError, match="is broken: it does not say what is annotated in sub-"):
        rv.load_evaluation(folder)


def test_a_folder_of_an_older_version_is_one_sentence(folder):
    about = json.loads((folder / "fold-0" / "fold.json").read_text())
    del about["truth"]
    (folder / "fold-0" / "fold.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="fold-0 was kept without what is annotated: run ranvier"):
        rv.load_evaluation(folder)
    (folder / "folds.json").unlink()
    with pytest.raises(ValueError, match="it keeps no recipe and nothing that is annotated: run"):
        rv.load_evaluation(folder)


def test_places_without_an_evaluation_are_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="no such folder"):
        rv.load_evaluation(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="cannot be scored again, it is no evaluation"):
        rv.load_evaluation(tmp_path)
    for path in folder.glob("fold-*/fold.json"):
        path.unlink()
    with pytest.raises(ValueError, match="has no finished fold"):
        rv.load_evaluation(folder)


def test_what_was_trained_cannot_be_changed(folder, capsys):
    assert rescore(folder, "--network", "arnn", "--data", "x") == 1
    said = capsys.readouterr().err
    assert "Invalid options with --rescore: --network, --data, must be --out and --rule.*" in said


def test_evaluate_says_what_it_lacks(capsys):
    assert main(["evaluate", "--out", "x"]) == 2
    assert "Missing data: --data must be a folder" in capsys.readouterr().err


def test_rules_that_make_no_sense_are_refused(result, moved):
    with pytest.raises(ValueError, match=r"Invalid rule: \['treshold'\], possible options"):
        rv.load_evaluation(result, treshold=0.5)
    with pytest.raises(ValueError, match="Invalid threshold: 2, must be from 0 to 1"):
        rv.load_evaluation(result, threshold=2)
    with pytest.raises(ValueError, match="must be for a task that raises alarms"):
        rv.load_evaluation(moved, threshold=0.5)


def test_an_evaluation_of_movement_is_scored_again(moved):
    again = rv.load_evaluation(moved)
    done = [read_fold(moved / f"fold-{number}") for number in range(2)]
    whole = rv.Evaluation(again.recipe, done, again.versions)
    assert again.scores.as_dict() == whole.scores.as_dict()
    assert again.scores.mean > 0.3


def test_the_recipe_that_is_kept_is_a_file_for_config(result, data, monkeypatch):
    found = []

    def stop(*_: object, recipe: rv.Recipe, **__: object) -> None:
        found.append(recipe)
        raise ValueError("enough")

    monkeypatch.setattr("ranvier.evaluation.evaluate", stop)
    words = ["--config", result / "recipe.yaml", "--data", data, "--out", result]
    assert main(["evaluate", *map(str, words)]) == 1
    (recipe,) = found
    assert json.dumps(asdict(recipe)) == json.dumps(asdict(read_recipe(result / "recipe.yaml")))


@pytest.mark.parametrize("lost", ["file", "all"])
def test_what_is_annotated_is_added_where_it_was_lost(folder, lost):
    place = folder / "fold-0"
    before = read_fold(place)
    shutil.rmtree(place / "truth")
    if lost == "all":
        change(place / "fold.json", truth={})
    complete_fold(place, before.truth)
    assert repr(read_fold(place).truth) == repr(before.truth)


def test_a_recipe_is_read_as_it_was_written(result):
    recipe = read_recipe(result / "recipe.yaml")
    assert recipe.training.passes == 2
    assert (
        json.loads(json.dumps(rv.load_evaluation(result).as_dict()["recipe"]))
        == scores_in(result)["recipe"]
    )


EVENTS = rv.Events(
    (rv.Event(1 / 3, 0.1, "sz_foc_ia"), rv.Event(7.0, 2.005, "bckg", 0.25, "C3")),
    100 / 3,
    datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
)
KINDS = [
    EVENTS,
    TypedSeizures.of(EVENTS, "tusz"),
    rv.Hypnogram(("W", "", "N1", "N2", "N3", "REM"), 200.7, 30.0, 1 / 3),
    rv.Hypnogram(("N2",), 60.5, 60.0),
    rv.Hypnogram((), 12.0),
]


@pytest.mark.parametrize("truth", KINDS, ids=lambda one: f"{type(one).__name__}-{len(one)}")
def test_what_is_annotated_is_read_as_it_was_written(tmp_path, truth):
    kept = json.loads(json.dumps(keep_truth(tmp_path / "truth", {"a": truth}), default=str))
    assert repr(read_truth(tmp_path, kept)) == repr({"a": truth})


def test_a_trajectory_is_read_as_it_was_written(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 2))
    values[3] = np.nan
    moved = rv.Trajectory(values, 1 / 0.03, 1.5, ("x", "z"), "mm/s", first=0.013)
    kept = json.loads(json.dumps(keep_truth(tmp_path / "truth", {"a": moved})))
    assert repr(read_truth(tmp_path, kept)["a"]) == repr(moved)


def test_a_recording_without_a_seizure_has_none_when_it_is_read(tmp_path):
    kept = keep_truth(tmp_path / "truth", {"a": rv.Events((), 10.0)})
    read = read_truth(tmp_path, kept)["a"]
    assert (len(read.seizures()), read.duration) == (0, 10.0)


def test_names_that_are_no_file_names_are_told_apart(tmp_path):
    names = ["../a", "..\\a", "A", "a", "", "é" * 300, "x" * 300, "x" * 301]
    truth = {
        name: rv.Events.from_intervals([(float(n), n + 1.0)], 60.0) for n, name in enumerate(names)
    }
    kept = keep_truth(tmp_path / "truth", truth)
    assert repr(read_truth(tmp_path, kept)) == repr(truth)
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]
    assert len(list((tmp_path / "truth").iterdir())) == len(names)


def test_a_fold_that_could_not_be_written_whole_is_not_finished(tmp_path, result, monkeypatch):
    done = read_fold(result / "fold-0")
    monkeypatch.setattr("ranvier.fold_files.keep_truth", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        keep_fold(tmp_path, "key", done)
    assert isinstance(done, FoldResult)
    assert not (tmp_path / "fold.json").exists()
    assert not list(tmp_path.rglob("*.tmp"))
