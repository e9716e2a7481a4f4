"""Hypnograms go out and come back in every format, and nothing is cut or glued."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.formats import (
    offset_check,
    read_hypnogram,
    read_stage_list,
    read_stage_table,
    save_hypnogram,
    trim_to_lights,
    trim_wake,
    write_stage_table,
)
from ranvier.formats.hypnograms import HYPNOGRAM_READERS, HYPNOGRAM_WRITERS
from ranvier.formats.stage_grid import NUMBERS, from_start
from ranvier.truth import SLEEP_STAGES, Hypnogram

STAGES = st.lists(st.sampled_from([*SLEEP_STAGES, "", ""]), min_size=2, max_size=40).map(tuple)
EPOCHS = st.sampled_from([30.0, 20.0, 4.0, 60.0, 30.5, 20 / 3])
FIRSTS = st.sampled_from([0.0, 12.25, 0.1, 7200.0, 23 * 3600.5])
SUFFIXES = sorted(HYPNOGRAM_WRITERS)


def night(stages, epoch=30.0, first=0.0) -> Hypnogram:
    return Hypnogram(tuple(stages), first + len(stages) * epoch, epoch, first)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hypnograms")


def written(folder, suffix: str, made: Hypnogram):
    return save_hypnogram(folder / f"night{suffix}", made)


@pytest.fixture
def text(tmp_path):
    def write(name: str, content: str):
        path = tmp_path / name
        path.write_bytes(content.encode())
        return path

    return write


def test_what_can_be_read_can_be_written():
    assert set(HYPNOGRAM_READERS) == set(HYPNOGRAM_WRITERS)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(stages=STAGES)
def test_every_format_gives_back_a_night_with_its_unscored_epochs(folder, suffix, stages):
    assert read_hypnogram(written(folder, suffix, night(stages))) == night(stages)


@pytest.mark.parametrize("suffix", [".edf", ".csv", ".tsv"])
@given(stages=STAGES, first=FIRSTS)
def test_formats_with_times_keep_when_the_first_epoch_begins(folder, suffix, stages, first):
    made = night(stages, first=first)
    assert read_hypnogram(written(folder, suffix, made)) == made


@pytest.mark.parametrize("suffix", [".edf", ".csv"])
@given(stages=STAGES, epoch=EPOCHS, first=FIRSTS)
def test_tables_and_annotations_keep_the_length_of_an_epoch(folder, suffix, stages, epoch, first):
    made = night(stages, epoch, first)
    assert read_hypnogram(written(folder, suffix, made)) == made


@given(stages=STAGES, epoch=EPOCHS)
def test_profusion_keeps_the_length_of_an_epoch(folder, stages, epoch):
    assert read_hypnogram(written(folder, ".xml", night(stages, epoch))) == night(stages, epoch)


@pytest.mark.parametrize("suffix", [".txt", ".xml"])
@given(stages=STAGES, gone=st.integers(0, 9))
def test_formats_without_times_put_unscored_epochs_in_front(folder, suffix, stages, gone):
    made = night(stages, first=gone * 30.0)
    found = read_hypnogram(written(folder, suffix, made))
    assert found == from_start(made) == night(("",) * gone + stages)


@pytest.mark.parametrize("suffix", [".txt", ".xml"])
def test_formats_without_times_refuse_a_night_off_their_grid(folder, suffix):
    with pytest.raises(ValueError, match=r"Invalid first: 12\.25 s, must be a whole number of"):
        written(folder, suffix, night(["W"], first=12.25))


def test_a_list_refuses_epochs_that_it_cannot_tell(folder):
    with pytest.raises(ValueError, match="Invalid epoch: 20 s, must be 30 s in a list of labels"):
        written(folder, ".txt", night(["W"], 20.0))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bad", [night([]), night(["W"], first=-30.0)])
def test_no_format_takes_a_night_without_epochs_or_before_the_recording(folder, suffix, bad):
    with pytest.raises(ValueError, match="must have epochs that begin at 0 s or later"):
        written(folder, suffix, bad)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_duration_of_the_signal_is_told_by_the_caller(folder, suffix):
    path = written(folder, suffix, night(["W", "", "N2"]))
    assert read_hypnogram(path, duration=95.5) == replace(night(["W", "", "N2"]), duration=95.5)
    assert read_hypnogram(path, duration=75) == Hypnogram(("W", ""), 75)


LABELS = {
    "W N1 N2 N3 R ?": ("W", "N1", "N2", "N3", "REM", ""),
    "wake S1 S2 S3 S4 REM MT": ("W", "N1", "N2", "N3", "N3", "REM", ""),
    "WAKE uns ART M": ("W", "", "", ""),
}


@pytest.mark.parametrize(("labels", "stages"), LABELS.items())
def test_lists_may_use_the_labels_of_either_manual(text, labels, stages):
    path = text("night.txt", "\ufeff" + labels.replace(" ", "\r\n") + "\r\n\r\n")
    assert read_hypnogram(path) == night(stages)


def test_numbers_mean_what_the_named_convention_says(text):
    path = text("night.txt", "0\n1\n2\n3\n4\n")
    assert read_hypnogram(path, numbers="rem4").stages == ("W", "N1", "N2", "N3", "REM")
    assert read_hypnogram(path, numbers="rem5").stages == ("W", "N1", "N2", "N3", "N3")
    assert read_stage_list(path, numbers="rem4", epoch=20).duration == 100


def test_numbers_without_a_convention_are_refused(text):
    path = text("night.txt", "0\n5\n")
    with pytest.raises(ValueError, match=r"REM is 4 in some conventions.*options: rem4, rem5"):
        read_hypnogram(path)
    with pytest.raises(ValueError, match=r"line 2: invalid stage: '5', possible options: 0, 1"):
        read_hypnogram(path, numbers="rem4")
    assert set(NUMBERS) == {"rem4", "rem5"}


@given(stages=STAGES, seed=st.integers(0, 99))
def test_probabilities_come_back_bit_for_bit(folder, stages, seed):
    made = np.random.default_rng(seed).dirichlet(np.ones(5), len(stages))
    made[::3] = math.nan
    path = write_stage_table(folder / "p.csv", night(stages), probabilities=made)
    hypnogram, found = read_stage_table(path)
    assert hypnogram == night(stages)
    np.testing.assert_array_equal(found, made)


def test_probabilities_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(2, 4\), must be \(2, 5\)"):
        write_stage_table(tmp_path / "p.csv", night(["W", "W"]), probabilities=np.ones((2, 4)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("stage,epoch\nW,0\nN2,2\n", night(["W", "", "N2"])),
        ("epoch;stage\n1;W\n2;R\n", night(["W", "REM"])),
        ("onset\tstage\n15\tW\n45\tN3\n", night(["W", "N3"], first=15.0)),
        ("onset,duration,stage\n0,90,W\n90,30,N1\n", night(["W", "W", "W", "N1"])),
        ("epoch,duration,stage\n0,20,W\n2,20,N1\n", night(["W", "", "N1"], 20.0)),
    ],
)
def test_tables_of_others_are_read(text, content, expected):
    assert read_hypnogram(text("night.csv", content)) == expected


def test_a_table_of_stages_may_be_a_tsv(text):
    path = text("night_hypnogram.tsv", "onset\tduration\tstage\n0\t60\tW\n60\t30\tR\n")
    assert read_hypnogram(path).stages == ("W", "W", "REM")


def test_gaps_in_a_table_have_no_probabilities(text):
    content = "epoch,stage,p_W,p_N1,p_N2,p_N3,p_R\n0,W,1,0,0,0,0\n2,R,0,0,0,0,1\n"
    _, found = read_stage_table(text("night.csv", content))
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [0, 0, 0, 0, 1]


BAD = {
    "a.txt": [("", "0 stages"), ("\n\n", "0 stages"), ("W\nN9\n", "line 2: invalid stage: 'N9'"),
              ("W\n\nN1\n", "line 2: empty line"), ("nan\n", "invalid stage")],
    "a.csv": [("", "no column stage"), ("onset,stage\n", "no row"),
              ("stage\nW\n", "onset or epoch"), ("epoch,stage\n-1,W\n", "invalid epoch: -1"),
              ("epoch,stage\n7,W\n", "from 0 or 1"),
              ("onset,stage\n-30,W\n", "invalid onset"), ("onset,stage\nnan,W\n", "invalid onset"),
              ("onset,stage\n0,W\n0,W\n", "overlaps"), ("onset,stage\n0,W\n40,W\n", "does not fit"),
              ("onset,stage\n0,W\n6e7,W\n", "must be at most"), ("onset,stage\n0\n", "1 cells"),
              ("onset,stage,p_W\n0,W,0.5\n", "columns of probabilities are missing"),
              ("epoch,stage,p_W,p_N1,p_N2,p_N3,p_REM\n0,W,2,0,0,0,0\n", "between 0 and 1"),
              ("onset,duration,stage\n0,0,W\n", "must be 1 s or longer"),
              ("onset,duration,stage\n0,30,W\n30,0,R\n", "must last above 0 s")],
    "a.tsv": [("onset\tduration\ttrial_type\n0\t10\tsz\n", "no stages of sleep")],
    "a.edf": [("", "is not an EDF file"), ("0       ", "header that is cut off")],
    "a.hyp": [("", "possible suffixes: .edf")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"), [(name, *case) for name in BAD for case in BAD[name]]
)
def test_bad_files_are_refused_in_a_sentence_that_names_them(text, name, content, message):
    path = text(name, content)
    with pytest.raises(ValueError, match=message) as refused:
        read_hypnogram(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(ValueError, match=r"Cannot read .*: No such file"):
        read_hypnogram(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv"])
def test_bytes_that_are_no_text_are_refused(tmp_path, suffix):
    path = tmp_path / f"night{suffix}"
    path.write_bytes(b"\xff\xfe\x00W")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        read_hypnogram(path)


def test_an_option_that_a_format_does_not_need_is_refused(folder):
    path = written(folder, ".xml", night(["W"]))
    with pytest.raises(ValueError, match=r"Invalid option for .*: numbers, must be left out"):
        read_hypnogram(path, numbers="rem4")
    with pytest.raises(ValueError, match="must be 1 s or longer"):
        read_hypnogram(written(folder, ".txt", night(["W"])), epoch=-30)


def test_wake_is_trimmed_to_half_an_hour_around_sleep():
    trim = trim_wake(night(["W"] * 100 + ["N1", "", "REM"] + ["W"] * 70 + [""] * 30))
    assert (trim.first, trim.last) == (40, 163)
    assert str(trim) == "±30 min around sleep: epochs 41 to 163 of 203, 1.02 h"
    assert trim.seconds == (1200, 4890)


@given(STAGES, st.floats(0, 10))
def test_trimming_masks_wake_and_moves_nothing(stages, minutes):
    whole = night(stages, first=12.25)
    kept = trim_wake(whole, minutes=minutes).masked()
    assert (len(kept), kept.first, kept.duration) == (len(whole), whole.first, whole.duration)
    changed = [stage for stage, other in zip(stages, kept.stages, strict=True) if stage != other]
    assert set(changed) <= {"W"}


def test_a_night_without_sleep_or_edge_is_kept_whole():
    assert str(trim_wake(night(["W", ""]))).startswith("whole night, without sleep: epochs 1 to 2")
    assert str(trim_wake(night(["N1"]), minutes=math.inf)).startswith("whole night: epochs 1 to 1")


def test_lights_keep_whole_epochs_between_them():
    trim = trim_to_lights(night(["W"] * 10, first=5.0), 40, 130)
    assert (trim.rule, trim.seconds) == ("lights off to lights on", (65.0, 125.0))


@pytest.mark.parametrize(("off", "on"), [(200, 100), (10, 20), (math.nan, 90), (0, -math.inf)])
def test_lights_that_make_no_sense_are_refused(off, on):
    with pytest.raises(ValueError, match="Invalid lights"):
        trim_to_lights(night(["W"] * 5), off, on)


@pytest.mark.parametrize("minutes", [-1, math.nan])
def test_minutes_that_make_no_sense_are_refused(minutes):
    with pytest.raises(ValueError, match="Invalid minutes"):
        trim_wake(night(["N1"]), minutes=minutes)


def made_evidence(moved: int, *, seed: int = 0):
    """A night of runs, and noisy features whose stages lie some epochs later than its labels."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(rng.integers(0, 5, 60), rng.integers(2, 12, 60))
    levels = rng.normal(size=(5, 3))[np.roll(codes, moved)]
    stages = [SLEEP_STAGES[code] if rng.random() > 0.1 else "" for code in codes]
    return night(stages), levels + rng.normal(size=levels.shape)


@pytest.mark.parametrize("moved", [-7, -1, 0, 1, 4])
def test_the_offset_of_labels_is_found(moved):
    check = offset_check(*made_evidence(moved))
    assert check.shift == 30 * moved
    assert check.is_aligned == (moved == 0)


def test_the_offset_is_said_in_a_sentence():
    assert "best where they are" in str(offset_check(*made_evidence(0)))
    assert "fit the signal best 60 s later" in str(offset_check(*made_evidence(2)))
    assert "fit the signal best 30 s earlier" in str(offset_check(*made_evidence(-1)))


def test_evidence_may_come_more_often_than_epochs():
    labels, features = made_evidence(0)
    often = np.repeat(features, 6, axis=0)
    assert offset_check(replace(labels, first=10.0), often, hop=5.0).shift == -10.0


def test_probabilities_are_evidence_and_gaps_are_left_out():
    labels, _ = made_evidence(0)
    codes = labels.targets(np.arange(1, len(labels) + 1) * 30.0, 30.0)
    chances = np.where(codes[:, None] == np.arange(5), 0.8, 0.05)
    chances[::7] = np.nan
    check = offset_check(labels, chances)
    assert check.is_aligned
    assert np.nanmax(check.agreements) == pytest.approx(1)


@pytest.mark.parametrize(
    ("evidence", "options"),
    [
        (np.ones(5), {}),
        (np.ones((5, 0)), {}),
        (np.ones((5, 2)), {}),
        (np.full((5, 2), np.nan), {}),
        (np.ones((5, 2)), {"hop": 0.0}),
        (np.ones((5, 2)), {"reach": 10.0}),
    ],
)
def test_evidence_that_says_nothing_is_refused(evidence, options):
    with pytest.raises(ValueError, match="Invalid evidence"):
        offset_check(night(["W", "N1", "W", "N1", "W"]), evidence, **options)


@pytest.fixture
def real_nights(real):
    files = sorted((real / "sleep_edf_hypnograms").glob("*-Hypnogram.edf"))
    assert len(files) == 20
    return {path: read_hypnogram(path) for path in files}


@pytest.mark.real
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_nights_come_back_from_every_format(tmp_path, real_nights, suffix):
    for made in real_nights.values():
        assert "" in made.stages
        assert read_hypnogram(written(tmp_path, suffix, made)) == made


@pytest.mark.real
def test_real_nights_have_as_many_epochs_of_each_stage_as_were_counted(real, real_nights):
    with (real / "sleep_edf_hypnograms" / "HYPNOGRAM_COUNTS.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    sums = {"W": "W", "N1": "S1", "N2": "S2", "N3": "S3 S4", "REM": "REM", "": "MT ?"}
    for path, found in real_nights.items():
        counted = {one: sum(float(rows[path.name][n]) for n in sums[one].split()) for one in sums}
        assert counted == {one: found.stages.count(one) for one in sums}
        assert (len(found), found.duration) == (2880, 86400)


@pytest.mark.real
def test_real_labels_fit_the_spectra_best_where_they_are(real, real_nights):
    for path, labels in real_nights.items():
        values = np.load(real / "sleep_edf_features" / f"{path.name[:6]}E0.npz")["X"]
        scored = np.array([stage != "" for stage in labels.stages])
        if scored.sum() != len(values):
            continue
        evidence = np.full((len(labels), values.shape[1]), np.nan)
        evidence[scored] = values
        assert offset_check(labels, evidence).is_aligned
        assert offset_check(labels, np.roll(evidence, 2, axis=0)).shift == 60
