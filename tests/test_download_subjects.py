"""Whose files are downloaded: names and ranges of names."""

import pytest

from ranvier.download.subjects import chosen_subjects

CASES = [f"chb{number:02}" for number in range(1, 25) if number != 4]
NIGHTS = ["SC400", "SC401", "SC409", "SC410", "ST701", "ST709"]


@pytest.mark.parametrize(
    ("asked", "known", "found"),
    [
        (["chb02"], CASES, ["chb02"]),
        (["chb03-chb06"], CASES, ["chb03", "chb05", "chb06"]),
        (["chb03-06", "chb01"], CASES, ["chb01", "chb03", "chb05", "chb06"]),
        (["chb05", "chb05-chb05"], CASES, ["chb05"]),
        (["01-09"], NIGHTS, ["SC401", "SC409", "ST701", "ST709"]),
        (["SC401-SC410"], NIGHTS, ["SC401", "SC409", "SC410"]),
        (["sub-01-sub-02"], ["sub-01", "sub-02", "sub-03"], ["sub-01", "sub-02"]),
        (["sub-01"], ["sub-01", "sub-02"], ["sub-01"]),
    ],
)
def test_names_and_ranges_are_those_that_are_there(asked, known, found):
    assert chosen_subjects(asked, known) == found


@pytest.mark.parametrize("asked", ["chb30", "chb01-chb30", "chb05-chb01", "chb1-chb5", "a-b", "-"])
def test_what_is_not_there_is_named_with_what_is(asked):
    with pytest.raises(ValueError, match=rf"Invalid subjects: \['{asked}'\], possible options: "):
        chosen_subjects(["chb02", asked], CASES)
