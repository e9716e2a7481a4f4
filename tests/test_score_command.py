"""The command that scores tables: all scorers, and two systems against each other."""

import json

import numpy as np
import pytest

import ranvier as rv
from ranvier.__main__ import main
from ranvier.scoring.seizure_tables import compare_tables, score_tables
from ranvier.tasks.seizure_scorers import SCORERS, TITLES
from ranvier.truth import Events

DURATION = 7200.0
SEIZURE = (1000.0, 1060.0)


def folder_of(path, found: dict[str, list[tuple[float, float]]]) -> str:
    for subject, intervals in found.items():
        table = path / f"sub-{subject}_task-szMonitoring_run-00_events.tsv"
        table.parent.mkdir(exist_ok=True)
        rv.write_events(table, Events.from_intervals(intervals, DURATION))
    return str(path)


@pytest.fixture
def folders(tmp_path) -> tuple[str, str, str]:
    """What is annotated, a good system and a worse one, of four patients."""
    patients = ("01", "02", "03", "04")
    wrong = {name: [SEIZURE, (4000.0, 4020.0)] for name in patients}
    return (
        folder_of(tmp_path / "truth", {name: [SEIZURE] for name in patients}),
        folder_of(tmp_path / "good", {name: [SEIZURE] for name in patients}),
        folder_of(tmp_path / "worse", wrong | {"04": []}),
    )


def test_score_shows_every_scorer_in_a_row(folders, capsys) -> None:
    assert main(["score", folders[0], folders[2]]) == 0
    head, _, columns, *rows = capsys.readouterr().out.splitlines()
    assert "3 of 4 found, 3 false alarms" in head
    assert columns.split()[:3] == ["scorer", "found", "false"]
    assert [row.strip().startswith(title) for row, title in zip(rows, TITLES.values(), strict=True)]


def test_score_gives_every_scorer_pooled_averaged_and_by_patient(folders, capsys) -> None:
    assert main(["score", folders[0], folders[2], "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    for name in SCORERS:
        assert scored["pooled"][name]["sensitivity"] == 0.75
        assert scored["averaged"][name]["f1"]["patients"] == 4
        assert scored["subjects"]["04"][name]["true_positives"] == 0
        assert "Ranvier rules" in scored["scorers"][name]
    assert "NaN" in scored["nan_rule"]


def test_score_against_another_system_gives_paired_differences(folders, capsys) -> None:
    assert main(["score", *folders[:2], "--against", folders[2], "--json"]) == 0
    against = json.loads(capsys.readouterr().out)["against"]
    difference, low, high = against["differences"]["events"]["sensitivity"]
    assert (difference, low) == (0.25, 0)
    assert 0.25 < high <= 1
    assert against["scores"]["pooled"]["taes"]["true_positives"] == 3


def test_score_against_another_system_is_shown(folders, capsys) -> None:
    assert main(["score", *folders[:2], "--against", folders[2]]) == 0
    said = capsys.readouterr().out
    assert "pooled, and its 95 % interval over patients" in said
    assert "+0.250 (+0.000 to +" in said


def test_a_table_that_one_system_lacks_is_no_comparison(folders, tmp_path, capsys) -> None:
    fewer = folder_of(tmp_path / "fewer", {"01": [SEIZURE]})
    assert main(["score", *folders[:2], "--against", fewer]) == 1
    assert "could be scored for only one of both" in capsys.readouterr().err


def test_a_table_that_is_missing_counts_as_no_detections() -> None:
    reference = Events.from_intervals([SEIZURE], DURATION)
    scored = score_tables({"a": ("01", reference, None), "b": ("02", reference, reference)})
    assert scored.summaries["taes"].pooled.sensitivity == 0.5
    assert scored.notes == [("a", "there is no table of detections, counted as no detections")]


def test_one_patient_has_differences_without_intervals() -> None:
    reference, nothing = Events.from_intervals([SEIZURE], DURATION), Events((), DURATION)
    both = [score_tables({"a": ("01", reference, found)}) for found in (reference, nothing)]
    difference, *bounds = compare_tables(*both)["any_overlap"]["f1"]
    assert difference == 1
    assert np.isnan(bounds).all()


def test_a_person_under_two_names_is_one_patient() -> None:
    reference = Events.from_intervals([SEIZURE], DURATION)
    scored = score_tables({name: (name, reference, reference) for name in ("chb01", "chb21")})
    assert list(scored.subjects) == ["chb01"]


@pytest.mark.parametrize(
    ("duration", "scored"), [(3599.996, True), (3600.9, True), (3601.0, False)]
)
def test_tables_may_differ_by_less_than_a_second(duration, scored) -> None:
    truth, found = (Events.from_intervals([SEIZURE], d) for d in (3600.0, duration))
    result = score_tables({"one": ("01", truth, found)})
    assert (not result.problems) is scored
    assert result.summaries["events"].pooled.true_positives == scored


def test_durations_that_differ_are_told_with_the_digits_that_do() -> None:
    truth, found = (Events.from_intervals([SEIZURE], d) for d in (1234567.0, 1234569.25))
    problems = score_tables({"one": ("01", truth, found)}).problems
    assert problems["one"] == "durations differ, 1234567.0 s and 1234569.25 s"


def test_a_table_of_detections_that_nothing_annotated_matches_is_named(folders, tmp_path, capsys):
    stray = folder_of(tmp_path / "good", {"09": []})
    assert main(["score", folders[0], stray]) == 0
    assert "nothing annotated has its name" in capsys.readouterr().err


def table_in(folder, *rows: str, head: str = "onset\tduration\teventType") -> str:
    folder.mkdir(exist_ok=True)
    lines = [head, *(row.replace(" ", "\t") for row in rows)]
    (folder / "sub-1_events.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


WITH_LENGTH = "onset\tduration\teventType\trecordingDuration"


def test_a_table_of_detections_without_a_length_is_as_long_as_the_recording(tmp_path, capsys):
    truth = table_in(tmp_path / "truth", "100 60 sz 7200", head=WITH_LENGTH)
    found = table_in(tmp_path / "found", "110 40 sz")
    assert main(["score", truth, found, "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["pooled"]["events"]["true_positives"] == 1
    (note,) = scored["notes"]
    assert "has no recordingDuration: taken to be as long as what is annotated" in note


def test_labels_that_are_not_understood_are_named(tmp_path, capsys):
    truth = table_in(tmp_path / "truth", "0 9 bckg 7200", "100 60 ictal 7200", head=WITH_LENGTH)
    found = table_in(tmp_path / "found", "110 40 sz")
    assert main(["score", truth, found]) == 0
    said = capsys.readouterr().err
    assert "sub-1_events.tsv: 1 event is neither seizure nor background: 'ictal'" in said


@pytest.mark.parametrize("side", ["truth", "found"])
def test_a_table_of_which_nothing_is_understood_is_refused(tmp_path, capsys, side):
    labels = {"truth": "sz", "found": "sz"} | {side: "ictal"}
    words = [
        table_in(tmp_path / name, f"100 60 {label} 7200", head=WITH_LENGTH)
        for name, label in labels.items()
    ]
    assert main(["score", *words]) == 1
    assert "must tell of seizures or background: 1 event is neither" in capsys.readouterr().err


def test_the_codes_of_tusz_are_seizures(tmp_path, capsys):
    truth = table_in(tmp_path / "truth", "100 60 FNSZ 7200", head=WITH_LENGTH)
    found = table_in(tmp_path / "found", "110 40 cpsz")
    assert main(["score", truth, found]) == 0
    assert "1 of 1 found" in capsys.readouterr().out


def test_a_folder_of_which_no_table_matches_is_refused(folders, tmp_path, capsys):
    other = folder_of(tmp_path / "other", {"09": [], "10": []})
    assert main(["score", folders[0], other]) == 1
    assert "none of 2 tables in" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["score", folders[0], str(tmp_path / "empty")]) == 1
    assert "none of 0 tables in" in capsys.readouterr().err


def recordings_in(folder, name: str = "night") -> None:
    """Two files of one name, each with a seizure among its annotations."""
    channels = ("Fp1", "C3")
    for ward in ("a", "b"):
        signal = np.random.default_rng(0).normal(size=(100 * 60, 2)) * 20
        recording = rv.Recording.from_array(signal, 60.0, channels)
        (folder / ward).mkdir(parents=True)
        rv.write_edf(folder / ward / f"{name}.edf", recording.read(), recording.layout)


def test_ordinary_bids_is_scored_by_its_recordings(tmp_path, capsys):
    signal = np.random.default_rng(0).normal(size=(100 * 60, 2)) * 20
    bids = tmp_path / "bids" / "sub-1" / "eeg"
    bids.mkdir(parents=True)
    rv.write_edf(bids / "sub-1_eeg.edf", signal, rv.Layout(("Fp1", "C3"), 60.0))
    table_in(bids, "-10 5 sz", "30 20 sz")
    found = table_in(tmp_path / "found", "32 10 sz")
    assert main(["score", str(tmp_path / "bids"), found]) == 0
    printed = capsys.readouterr()
    assert "1 of 1 found, 0 false alarms in 0.03 h" in printed.out
    assert "events before the signal are left out" in printed.err
    table_in(bids, "30 n/a sz")
    assert main(["score", str(tmp_path / "bids"), found]) == 1
    assert "the seizure at 30 s of sub-1 has no duration" in capsys.readouterr().err


def test_recordings_that_nobody_annotated_cannot_be_scored(tmp_path, capsys):
    recordings_in(tmp_path / "data")
    found = table_in(tmp_path / "found", "32 10 sz")
    assert main(["score", str(tmp_path / "data"), found]) == 1
    assert "none of 2 recordings is annotated" in capsys.readouterr().err


def test_a_seizure_without_a_known_end_is_refused(tmp_path, capsys):
    truth = table_in(tmp_path / "truth", "100 n/a sz 7200", head=WITH_LENGTH)
    assert main(["score", truth, truth]) == 1
    assert "invalid duration" in capsys.readouterr().err


def test_the_tables_of_an_evaluation_have_the_names_of_those_that_are_decoded(tmp_path, capsys):
    from ranvier.fold_files import keep_truth

    names = ("Müller/Tag 1", "Huber/Tag 1")
    one = Events.from_intervals([SEIZURE], DURATION)
    keep_truth(tmp_path / "truth", dict.fromkeys(names, one))
    for name in names:
        rv.write_events(tmp_path / "decoded" / f"{name}_events.tsv", one)
    assert main(["score", str(tmp_path / "truth"), str(tmp_path / "decoded")]) == 0
    assert "2 of 2 found" in capsys.readouterr().out
