"""Copies that do not say who was recorded: the signal is the same, the names are gone."""

import json
from datetime import date, datetime, time, timedelta

import edfio
import mne
import numpy as np
import pytest

from ranvier.__main__ import main
from ranvier.formats import read, read_annotations, read_edf, write_sleep_edf
from ranvier.formats.edf_anonymous import anonymise_edf
from ranvier.formats.edf_header import read_header
from ranvier.formats.sleep_edf import PARTNER
from ranvier.inspection import inspect
from ranvier.truth import Hypnogram

PATIENT = edfio.Patient(code="4711081500", sex="F", birthdate=date(1951, 8, 2), name="Doe_Jane")
STAFF = edfio.Recording(
    startdate=date(2019, 5, 6),
    hospital_administration_code="99-1234567",
    investigator_technician_code="Brown",
    equipment_code="Recorder_12",
)
TEXTS = [(1.0, 2.0, "Jane coughs"), (3.0, 1.0, "seizure"), (0.0, 30.0, "Sleep stage W")]
KINDS = {".edf": (edfio.Edf, edfio.EdfSignal), ".bdf": (edfio.Bdf, edfio.BdfSignal)}


def write(path, *, texts=TEXTS, patient=PATIENT, seed=0):
    make, signal = KINDS[path.suffix]
    values = np.random.default_rng(seed).normal(0, 30, (2, 3000))
    path.parent.mkdir(parents=True, exist_ok=True)
    make(
        [
            signal(row, 100, label=f"EEG {n}", physical_dimension="uV")
            for n, row in enumerate(values)
        ],
        patient=patient,
        recording=STAFF,
        starttime=time(22, 15, 4, 250_000),
        annotations=[edfio.EdfAnnotation(*one) for one in texts],
    ).write(path)
    return path


@pytest.fixture(params=KINDS)
def named(tmp_path, request):
    return write(tmp_path / f"Jane Doe{request.param}")


def copied(path, **options):
    copy = path.with_name(f"sub-0001{path.suffix}")
    return copy, anonymise_edf(path, copy, **options)


def test_the_signal_and_the_annotations_are_the_same_to_the_last_bit(named):
    copy, _ = copied(named)
    np.testing.assert_array_equal(read_edf(copy).read(), read_edf(named).read())
    size = 256 * 4
    assert copy.read_bytes()[size:] == named.read_bytes()[size:]
    assert read_annotations(copy) == read_annotations(named)


def test_the_header_is_blank_as_edf_plus_wants_it(named):
    header = copied(named)[0].read_bytes()[:1024]
    assert header[8:192].decode() == (
        "X X X X".ljust(80) + "Startdate X X X X".ljust(80) + "01.01.8522.15.04" + "1024    "
    )
    assert header[192:236].decode().rstrip() == named.suffix[1:].upper() + "+C"
    assert not any(word in header for word in (b"Jane", b"4711", b"Brown", b"1951", b"2019"))


def test_nothing_else_of_the_header_is_changed(named):
    before, after = (path.read_bytes()[:1024] for path in (named, copied(named)[0]))
    assert before[236:928] == after[236:928]
    assert before[:8] == after[:8]


def test_the_doctor_finds_names_before_and_none_after(named):
    assert "identity" in {one.kind for one in inspect(named).findings}
    assert "identity" not in {one.kind for one in inspect(copied(named)[0]).findings}


def test_the_date_may_be_kept_and_the_time_dropped(named):
    copy, _ = copied(named, keep_date=True, drop_time=True)
    assert read_edf(copy).start == datetime(2019, 5, 6, 0, 0, 0, 250_000)
    assert copy.read_bytes()[88:124] == b"Startdate 06-MAY-2019 X X X".ljust(36)


def test_a_copy_without_date_and_time_has_no_start(named):
    copy, _ = copied(named, drop_time=True)
    assert read_edf(copy).start is None


def test_only_texts_that_nobody_knows_are_counted(named):
    assert copied(named)[1].texts == 1


def test_annotations_may_be_dropped_and_times_of_records_stay(named):
    copy, found = copied(named, drop_annotations=True)
    assert (read_annotations(copy), found.texts) == ([], 1)
    assert b"Jane" not in copy.read_bytes()
    np.testing.assert_array_equal(read_edf(copy).read(), read_edf(named).read())
    assert read_edf(copy).start.microsecond == 250_000


def test_gaps_stay_where_they_are_without_annotations(tmp_path):
    path = write(tmp_path / "a.edf")
    content = path.read_bytes().replace(b"EDF+C", b"EDF+D").replace(b"+29.25\x14", b"+39.25\x14")
    path.write_bytes(content)
    copy, _ = copied(path, drop_annotations=True)
    assert read_edf(path).duration > 30
    np.testing.assert_array_equal(read_edf(copy).read(), read_edf(path).read())


def test_other_programs_read_a_copy(tmp_path):
    copy, _ = copied(write(tmp_path / "a.edf"), drop_annotations=True)
    assert edfio.read_edf(copy).patient.name == "X"
    assert mne.io.read_raw_edf(copy, verbose="error").n_times == 3000


def test_bytes_after_the_last_record_are_left_out(tmp_path):
    path = write(tmp_path / "a.edf")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"Jane Doe")
    copy, found = copied(path)
    assert (copy.stat().st_size, found.left_out) == (size, 8)


@pytest.mark.parametrize("content", [b"", b"no EDF", b"0".ljust(256)])
def test_what_is_no_edf_is_refused_and_nothing_is_written(tmp_path, content):
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.edf"):
        anonymise_edf(tmp_path / "a.edf", tmp_path / "b.edf")
    assert [one.name for one in tmp_path.iterdir()] == ["a.edf"]


def test_a_file_is_never_written_over(named):
    before = named.read_bytes()
    with pytest.raises(ValueError, match="is there already"):
        anonymise_edf(named, named)
    assert named.read_bytes() == before


def run(*words) -> int:
    return main(["anonymise", *map(str, words)])


def test_a_folder_is_copied_under_numbers_and_the_answer_names_nobody(tmp_path, capsys):
    write(tmp_path / "in" / "Jane 1.edf")
    write(tmp_path / "in" / "Jane 2.bdf", seed=1)
    write(tmp_path / "in" / "Zoe.edf", patient=edfio.Patient(), seed=2)
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--json") == 0
    names = sorted(one.name for one in (tmp_path / "out").iterdir())
    assert names == ["sub-0001_run-01.edf", "sub-0001_run-02.bdf", "sub-0002.edf"]
    said = capsys.readouterr()
    assert "3 annotations" not in said.out
    assert "sub-0002.edf: 1 annotations may hold names" in said.err
    assert not any(name in said.out + said.err for name in ("Jane", "Zoe"))


def test_who_is_who_is_written_only_where_it_is_wanted(tmp_path):
    path = write(tmp_path / "in" / "Jane.edf")
    table = tmp_path / "who.tsv"
    assert run(path, "--out", tmp_path / "out", "--mapping", table) == 0
    assert table.read_text() == f"file\tcopy\n{path}\tsub-0001.edf\n"


def test_a_hypnogram_stays_with_its_recording(tmp_path):
    night = Hypnogram(("W",), 30)
    write(tmp_path / "in" / "Jane.edf", texts=[])
    write_sleep_edf(tmp_path / "in" / "Jane-Hypnogram.edf", night, subject="Jane")
    assert run(tmp_path / "in", "--out", tmp_path / "out") == 0
    (recording,) = read(tmp_path / "out")
    assert (recording.subject, recording.hypnogram) == ("0001", night)


@pytest.mark.parametrize("late", [-60, 0, 45, 5400])
@pytest.mark.parametrize("options", [[], ["--keep_date"]])
def test_stages_stay_where_they_are_without_the_time(tmp_path, late, options):
    night = Hypnogram(("W",) * 3 + ("N2",) * 2, 150)
    psg = write(tmp_path / "in" / "Jane.edf", texts=[])
    start = datetime(2019, 5, 6, 22, 15, 4) + timedelta(seconds=late)
    write_sleep_edf(psg.with_name("Jane-Hypnogram.edf"), night, start=start)
    (before,) = read(psg)
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--drop_time", *options) == 0
    (found,) = read(tmp_path / "out")
    assert (found.hypnogram, len(found.notes)) == (before.hypnogram, len(before.notes) - 1)
    begins = read_header(tmp_path / "out" / f"sub-0001{PARTNER}").clock()
    midnight = datetime(*((2019, 5, 6) if options else (1985, 1, 1)))
    assert (begins - midnight - timedelta(seconds=late)) % timedelta(days=1) == timedelta()
    assert not options or begins == midnight + timedelta(seconds=late)


def test_a_broken_file_is_named_and_the_others_are_copied(tmp_path, capsys):
    write(tmp_path / "in" / "a.edf")
    (tmp_path / "in" / "b.edf").write_bytes(b"broken")
    assert run(tmp_path / "in", "--out", tmp_path / "out") == 1
    assert "not copied" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["sub-0001.edf"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "{in}"], "must be new or empty"),
        (["--out", "{out}", "--mapping", "{out}/who.tsv"], "must lie outside"),
        (["--out", "{out}", "--mapping", "{in}/a.edf"], "is there already"),
    ],
)
def test_places_that_would_do_harm_are_refused(tmp_path, capsys, words, said):
    before = write(tmp_path / "in" / "a.edf").read_bytes()
    places = {name: tmp_path / name for name in ("in", "out")}
    assert run(tmp_path / "in", *(word.format(**places) for word in words)) == 1
    assert said in capsys.readouterr().err
    assert (tmp_path / "in" / "a.edf").read_bytes() == before
    assert not list(tmp_path.rglob("sub-*"))


@pytest.mark.parametrize("name", ["nowhere", "empty", "a.txt"])
def test_what_has_no_edf_in_it_is_refused(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("a")
    assert run(tmp_path / name, "--out", tmp_path / "out") == 1
    assert json.dumps(str(tmp_path / name))[1:-1] in capsys.readouterr().err
