"""Nobody is on both sides of a split."""

from dataclasses import replace

import pytest

import ranvier as rv
from ranvier.certificate import Certificate
from ranvier.splits import Fold, folds_by_subject, hold_out_validation

NAMES = [f"0{n}" for n in range(1, 9)]


def test_leave_one_out_tests_everybody_once():
    tested = [fold.test for fold in folds_by_subject(NAMES)]
    assert sorted(tested) == [(name,) for name in NAMES]


@pytest.mark.parametrize("folds", [2, 3, 8])
def test_every_subject_is_in_one_part_of_each_fold(folds):
    for fold in folds_by_subject(NAMES, folds=folds):
        assert sorted((*fold.train, *fold.validation, *fold.test)) == NAMES


def test_the_same_seed_gives_the_same_folds():
    assert folds_by_subject(NAMES, folds=4, seed=3) == folds_by_subject(NAMES, folds=4, seed=3)


def test_a_subject_on_both_sides_is_refused():
    with pytest.raises(ValueError, match="subject '01' is in the train part and in the test part"):
        Fold(0, ("01", "02"), ("03",), ("01",))


def test_a_person_under_two_names_is_refused_on_both_sides():
    with pytest.raises(ValueError, match="subject 'chb21' is in the train part and in the test"):
        Fold(0, ("chb01", "chb02"), ("chb03",), ("chb21",))


def test_a_person_under_two_names_is_kept_together():
    names = ["chb01", "chb02", "chb03", "chb21"]
    (fold,) = [fold for fold in folds_by_subject(names) if "chb01" in fold.test]
    assert fold.test == ("chb01", "chb21")


def test_the_same_signal_under_two_subjects_is_refused(recordings, tmp_path):
    twin = replace(recordings[0], name="twin", subject="99")
    with pytest.raises(ValueError, match="of '01' and twin of '99' hold the same signal"):
        rv.evaluate("seizure", [*recordings, twin], out=tmp_path)


@pytest.mark.parametrize(
    ("names", "folds"), [(["a", "b"], 0), (NAMES, 9), (NAMES, 1), (NAMES[:3], 2)]
)
def test_impossible_folds_are_refused(names, folds):
    with pytest.raises(ValueError, match="Invalid folds"):
        folds_by_subject(names, folds=folds)


def test_validation_is_taken_from_subjects_with_something_to_find():
    for fold in folds_by_subject(NAMES, informative=["01", "02", "03"]):
        assert set(fold.validation) & {"01", "02", "03"}


def test_one_subject_cannot_train_and_choose():
    with pytest.raises(ValueError, match="must be at least 2: to train and to choose"):
        hold_out_validation(["01"])


def test_the_certificate_names_everyone():
    fold = Fold(0, ("01",), ("02",), ("03",))
    text = " ".join(Certificate(fold, {"alarm threshold": "validation"}, "a scorer").sentences())
    assert "train: 01; validation: 02; test: 03; no person is in two parts" in text
    assert "alarm threshold from the validation part" in text
