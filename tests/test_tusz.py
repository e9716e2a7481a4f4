"""TUH EEG Seizure Corpus in the layouts of its releases."""

import pytest
from small_data_sets import REFERENTIAL, edf, text

from ranvier import datasets
from ranvier.channels import pick
from ranvier.datasets.official_parts import official_part
from ranvier.datasets.tusz import TUSZ
from ranvier.tasks import make_task

NEW = "edf/{part}/{patient}/s001_2002/01_tcp_ar/{patient}_s001_t000.edf"
OLD = "edf/{part}/01_tcp_ar/002/{patient}/s002_2003_07_21/{patient}_s002_t000.edf"
LABELS = ("channel,start_time,stop_time,label,confidence", "TERM,10,30,seiz,1", "TERM,30,60,bckg,1")


def corpus(folder, layout=NEW, **patients):
    for part, patient in patients.items():
        path = edf(folder / layout.format(part=part, patient=patient), channels=REFERENTIAL)
        text(path.with_suffix(".csv_bi"), *LABELS)
    return folder


def test_parts_patients_and_sessions_of_the_newer_layout(tmp_path):
    corpus(tmp_path, eval="aaaaaaaq", train="aaaaaaac", dev="aaaaaajy")
    recordings = datasets.read(tmp_path)
    assert [official_part(one.notes) for one in recordings] == ["train", "dev", "eval"]
    assert [one.subject for one in recordings] == ["aaaaaaac", "aaaaaajy", "aaaaaaaq"]
    assert {one.session for one in recordings} == {"s001_2002"}
    assert recordings[0].events.intervals().tolist() == [[10, 30]]


def test_the_older_layout_and_its_name_of_the_dev_part(tmp_path):
    corpus(tmp_path, OLD, train="00000258", dev_test="00000629")
    first, second = datasets.read(tmp_path)
    assert (first.subject, first.session) == ("00000258", "s002_2003_07_21")
    assert (second.name, official_part(second.notes)) == ("00000629_s002_t000", "dev")


@pytest.mark.parametrize(("layout", "patient"), [(NEW, "aaaaaaaq"), (OLD, "00000629")])
def test_a_part_can_be_read_alone(tmp_path, layout, patient):
    corpus(tmp_path, layout, train=patient.replace("9", "8").replace("q", "c"), eval=patient)
    folder = tmp_path / "edf" / "eval"
    assert datasets.recognise(folder) is datasets.recognise(tmp_path / "edf") is TUSZ
    assert [official_part(one.notes) for one in datasets.read(folder)] == ["eval"]


def test_a_broken_date_does_not_refuse_a_file(tmp_path):
    path = corpus(tmp_path, eval="aaaaaaaq") / NEW.format(part="eval", patient="aaaaaaaq")
    content = bytearray(path.read_bytes())
    content[88:184] = b"X".ljust(80) + b"01:01:85" + b"00.00.00"
    path.write_bytes(content)
    (recording,) = datasets.read(tmp_path)
    assert recording.start is None
    assert any("'01:01:85'" in note for note in recording.notes)


def test_all_three_montages_are_derived(tmp_path):
    linked = tuple(name.replace("-REF", "-LE") for name in REFERENTIAL)
    for montage, channels in {"02_tcp_le": linked, "03_tcp_ar_a": REFERENTIAL}.items():
        place = f"train/aaaaaaac/s00{montage[1]}_2002/{montage}/aaaaaaac_s00{montage[1]}_t000.edf"
        edf(tmp_path / place, channels=channels)
    for recording in datasets.read(tmp_path):
        coverage = pick(recording.layout.channels, "double_banana")
        assert next(d.name for d in coverage.derivations if d.terms) == "Fp1-F7"
        assert coverage.ignored[0].startswith("EEG EKG1")


def test_a_file_in_two_montages_is_read_once(tmp_path):
    for montage in ("01_tcp_ar", "03_tcp_ar_a"):
        edf(tmp_path / f"eval/aaaaaqvx/s003_2015_08_24/{montage}/aaaaaqvx_s003_t000.edf")
    assert len(datasets.read(tmp_path)) == 1


def test_detection_and_typing_learn_from_the_same_events(tmp_path):
    path = corpus(tmp_path, train="aaaaaaac") / NEW.format(part="train", patient="aaaaaaac")
    text(path.with_suffix(".csv"), LABELS[0], "FP1-F7,10,30,fnsz,1")
    (recording,) = datasets.read(tmp_path)
    assert len(make_task("seizure").truth_of(recording).seizures()) == 1
    typed = make_task("seizure_type", "tusz").truth_of(recording)
    assert [(one.number, one.onset, one.end) for one in typed.spans()] == [(0, 10, 30)]


@pytest.mark.parametrize(
    "place",
    ["train/a.edf", "train/patients/a.edf", "edf/eval/abnormal/01_tcp_ar/aaaaamye_s001_t000.edf"],
)
def test_other_folders_with_parts_are_not_claimed(tmp_path, place):
    edf(tmp_path / place)
    assert datasets.recognise(tmp_path) is None
