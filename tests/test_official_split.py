"""The split that a data set publishes, and who is kept in which part of it."""

from dataclasses import replace

import pytest
from conftest import QUICK, make_recording

import ranvier as rv
from ranvier.__main__ import main
from ranvier.certificate import Certificate
from ranvier.datasets.official_parts import OFFICIAL_PARTS, official_part, with_official_part
from ranvier.official_split import in_official_parts
from ranvier.signal_store import write_store
from ranvier.splits import Fold


def of(subject: str, part: str, run: int = 0):
    return with_official_part(replace(make_recording(subject, run, seconds=100)), part)


@pytest.fixture(scope="module")
def corpus():
    return [of("01", "train"), of("02", "train"), of("03", "dev"), of("04", "eval")]


def names(recordings):
    return [(one.subject, official_part(one.notes)) for one in recordings]


def test_train_teaches_dev_chooses_and_eval_is_tested(corpus, tmp_path):
    result = rv.evaluate("seizure", corpus, official=True, training=QUICK, out=tmp_path / "out")
    (fold,) = result.folds
    parts = fold.certificate.fold
    assert (parts.train, parts.validation, parts.test) == (("01", "02"), ("03",), ("04",))
    assert fold.certificate.chosen_on["alarm threshold"] == "validation"
    assert [one.name for one in result.predictions] == [corpus[3].name]
    assert "as the data set publishes it" in result.report(tmp_path / "a.html").read_text()


def test_a_person_in_two_parts_stays_in_the_later_one_with_a_note(corpus):
    kept = in_official_parts([*corpus, of("04", "train", 1), of("03", "train", 1)])
    assert names(kept) == names(corpus)
    assert kept[3].notes[-1] == (
        "04 is in several official parts: 1 recordings of an earlier part were left out"
    )
    assert kept[0].notes == corpus[0].notes


def test_a_person_under_two_names_is_one(corpus):
    renamed = [replace(corpus[0], subject="chb01"), replace(corpus[3], subject="chb21")]
    assert [one.subject for one in in_official_parts(renamed)] == ["chb21"]


def test_a_recording_of_no_part_is_refused_by_name(corpus, recordings):
    with pytest.raises(ValueError, match=f"{recordings[0].name} does not say its official part"):
        rv.evaluate("seizure", [*corpus, recordings[0]], official=True)


@pytest.mark.parametrize("lacking", OFFICIAL_PARTS)
def test_a_part_without_anything_annotated_is_refused_by_name(corpus, lacking):
    some = [
        replace(one, events=None) if official_part(one.notes) == lacking else one for one in corpus
    ]
    with pytest.raises(ValueError, match=f"is in the official part {lacking}, must be at least"):
        rv.evaluate("seizure", some, official=True)


@pytest.mark.parametrize("settings", [{"folds": 3}, {"split": "time"}])
def test_another_split_beside_it_is_refused(corpus, settings):
    with pytest.raises(ValueError, match="Invalid official: True with the split"):
        rv.evaluate("seizure", corpus, official=True, **settings)


def test_an_unknown_part_is_refused(corpus):
    with pytest.raises(ValueError, match="Invalid official part: 'rest', possible options"):
        with_official_part(corpus[0], "rest")


def test_a_store_keeps_the_parts(corpus, tmp_path):
    assert names(rv.read(write_store(corpus, tmp_path / "store"))) == names(corpus)


def test_the_command_takes_it_and_the_certificate_says_it(corpus, tmp_path, capsys):
    store = write_store(corpus, tmp_path / "store")
    quick = ("--training.passes=1", "--training.stretch=40", "--training.segment=20")
    words = ("--data", str(store), "--out", str(tmp_path / "out"), "--protocol", "official")
    assert main(["evaluate", *words, *quick, "--json"]) == 0
    assert '"protocol": "official"' in capsys.readouterr().out


def test_the_certificate_says_that_nobody_is_in_two_parts():
    said = Certificate(Fold(0, ("1",), ("2",), ("3",), protocol="official")).sentences()[0]
    assert said.endswith(
        "protocol official: the data set itself says the parts; no person is in two."
    )
