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
