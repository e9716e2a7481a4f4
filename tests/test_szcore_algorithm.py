"""The algorithm file of SzCORE: what is refused, and what is found out of a decoder."""

from dataclasses import replace

import pytest

from ranvier.export.szcore_algorithm import check_algorithm, parse_authors, training_sets

ABOUT = {
    "title": "A detector",
    "short_title": "Detector",
    "image": "ghcr.io/me/detector:1.0",
    "authors": [{"given_names": "Ada", "family_names": "Lovelace"}],
    "license": "MIT",
}


class TestFile:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"title": ""}, "Invalid title: '', must be a text that is not empty"),
            ({"short_title": "x" * 21}, "must be a text of 1 to 20 characters"),
            ({"image": "detector"}, "must be host/name:tag in small letters"),
            ({"image": "ghcr.io/Me/detector:1"}, "must be host/name:tag in small letters"),
            ({"authors": []}, "Invalid authors: \\[\\], must be a list of persons"),
            ({"authors": ["Ada"]}, "Invalid author 1: 'Ada', must have names"),
            ({"authors": [{"institution": "X"}]}, "Invalid field of author 1: 'institution'"),
            ({"authors": [{"email": "x"}]}, "Invalid email of author 1: 'x', must be an address"),
            ({"license": None}, "Invalid license: None"),
            ({"version": True}, "Invalid version: True"),
            ({"date_released": "31.1.2026"}, "must be a date such as 2026-01-31"),
            ({"repository": "my disk"}, "must be an address that begins with https://"),
            ({"datasets": []}, "must be a list of names"),
            ({"datasets": ["A", "A"]}, "must be a list of names, none of them twice"),
            ({"date": "2026-01-31"}, "Invalid field: 'date', possible options"),
        ],
    )
    def test_that_the_challenge_would_refuse_is_refused(self, changed, message):
        with pytest.raises(ValueError, match=message):
            check_algorithm({**ABOUT, **changed})

    @pytest.mark.parametrize("name", ABOUT)
    def test_must_have_what_is_required(self, name):
        with pytest.raises(ValueError, match=f"Missing {name}: must be"):
            check_algorithm({one: value for one, value in ABOUT.items() if one != name})

    def test_may_have_all_that_is_optional(self):
        person = {"given_names": "A", "email": "a@b.ch", "affiliation": "C"}
        more = {"version": 1.0, "date_released": "2026-01-31", "repository": "https://example.org"}
        check_algorithm({**ABOUT, **more, "authors": [person], "datasets": ["A", "B"]})

    @pytest.mark.parametrize("text", ["Ada", "<a@b.ch>", "Ada Lovelace <a@b.ch", ", EPFL"])
    def test_needs_authors_with_two_names(self, text):
        with pytest.raises(ValueError, match=r"Invalid author: .* must be like 'Given Family"):
            parse_authors(text)


class TestTrainingSets:
    def test_are_told_by_the_names_of_recordings(self, decoder):
        names = {"train": ["chb01_03", "PN00-1"], "validation": ["aaaaaaac_s001_t000"]}
        assert training_sets(with_recordings(decoder, names)) == [
            "Physionet CHB-MIT Scalp EEG Database",
            "Physionet Siena Scalp EEG",
            "Temple University Seizure Corpus",
        ]

    def test_are_joined_with_those_that_are_given(self, decoder):
        known = with_recordings(decoder, {"train": ["chb01_03", "mine"]})
        found = training_sets(known, "Mine; Yours")
        assert found == ["Physionet CHB-MIT Scalp EEG Database", "Mine", "Yours"]

    def test_must_be_given_where_one_is_not_known(self, decoder):
        known = with_recordings(decoder, {"train": ["chb01_03", "mine"]})
        with pytest.raises(ValueError, match=r"Missing trained_on: .* such as of 'mine'"):
            training_sets(known)
        assert training_sets(with_recordings(decoder, {}), "none") == []


def with_recordings(decoder, names):
    return replace(decoder, provenance={"recordings": names})
