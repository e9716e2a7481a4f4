"""Clips of the challenge of UPenn and Mayo Clinic in their published form."""

import numpy as np
import pytest
from small_trees import NAMES, clip

from ranvier import datasets
from ranvier.datasets.upenn_mayo import UPENN_MAYO


def subject(folder, name="Dog_1"):
    for number, latency in ((1, 0.0), (2, 1.0), (10, 0.0), (11, 1.0)):
        clip(folder, name, "ictal", number, latency=latency)
    clip(folder, name, "interictal", 1)
    clip(folder, name, "test", 1)
    return folder


def test_a_clip_is_a_seizure_from_beginning_to_end_or_none(tmp_path):
    *ictal, interictal, test = datasets.read(subject(tmp_path))
    for one in ictal:
        assert one.events.intervals().tolist() == [[0, one.duration]]
    assert len(interictal.events) == 0
    assert test.events is None


def test_a_clip_has_its_rate_channels_and_signal(tmp_path):
    recording = datasets.read(subject(tmp_path))[0]
    assert recording.layout.channels == NAMES
    assert recording.layout.rate == 399.6098
    assert recording.read().shape == (400, 3)
    np.testing.assert_array_equal(recording.reader(5, 7)[:, 0], [5, 6])


def test_clips_follow_each_other_by_number_and_seizures_are_sessions(tmp_path):
    subject(subject(tmp_path, "Patient_2"))
    recordings = [one for one in datasets.read(tmp_path) if one.session]
    assert [one.name.rpartition("_")[2] for one in recordings[:4]] == ["1", "2", "10", "11"]
    assert [one.session[-1] for one in recordings] == ["1", "1", "2", "2"] * 2
    assert [one.subject for one in recordings[::4]] == ["Dog_1", "Patient_2"]


def test_a_subject_and_the_folder_of_the_archive_are_recognised(tmp_path):
    subject(tmp_path / "clips")
    for folder in (tmp_path, tmp_path / "clips", tmp_path / "clips" / "Dog_1"):
        assert datasets.recognise(folder) is UPENN_MAYO
        assert len(datasets.read(folder)) == 6


def test_the_challenge_on_prediction_is_not_claimed(tmp_path):
    clip(tmp_path, "Dog_1", "interictal", "0001")
    assert datasets.recognise(tmp_path) is None


def test_channels_without_names_are_numbered(tmp_path):
    clip(tmp_path, "Dog_1", "ictal", 1, channels=np.zeros(0))
    assert datasets.read(tmp_path)[0].layout.channels == ("1", "2", "3")


@pytest.mark.parametrize(
    "variables", [{"data": np.zeros((2, 2, 2))}, {"freq": 0.0}, {"freq": np.zeros(2)}]
)
def test_a_clip_without_a_signal_or_a_rate_is_refused_by_name(tmp_path, variables):
    clip(tmp_path, "Dog_1", "ictal", 1, **variables)
    with pytest.raises(ValueError, match=r"_1\.mat is no clip of the challenge"):
        datasets.read(tmp_path)


def test_a_broken_file_is_refused_by_name(tmp_path):
    clip(tmp_path, "Dog_1", "ictal", 1).write_bytes(b"nothing" * 40)
    with pytest.raises(ValueError, match=r"_1\.mat is not a Matlab file that can be read"):
        datasets.read(tmp_path)
