"""The algorithm file of SzCORE: what is said of a detector that is handed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any

from ranvier.decoder import Decoder

LONGEST_SHORT_TITLE = 20

DATA_SETS = {
    r"chb\d\d[a-z]?_\d+\+?": "Physionet CHB-MIT Scalp EEG Database",
    r"PN\d\d-[\d.]+": "Physionet Siena Scalp EEG",
    r"[a-z]{8}_s\d{3}_t\d{3}": "Temple University Seizure Corpus",
}
"""Names of recordings, and what SzCORE calls the data set that they are from."""

NOTHING = "none"
"""Given in place of data sets where a detector was trained on none."""

PERSON = re.compile(r"(?P<name>[^<>,;]+?)\s*(<(?P<email>[^<>]*)>)?\s*(,\s*(?P<affiliation>.+))?")

Rule = tuple[str, Callable[[Any], bool]]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _matches(pattern: str) -> Callable[[Any], bool]:
    found = re.compile(pattern)
    return lambda value: isinstance(value, str) and bool(found.fullmatch(value))


def _is_short(value: Any) -> bool:
    return _is_text(value) and len(value) <= LONGEST_SHORT_TITLE


def _is_date(value: Any) -> bool:
    try:
        return bool(date.fromisoformat(value).isoformat() == value)
    except (TypeError, ValueError):
        return False


def _is_version(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(value.count(one) == 1 for one in value)


def _are_texts(value: Any) -> bool:
    return _is_list(value) and all(map(_is_text, value))


TEXT: Rule = ("a text that is not empty", _is_text)
IMAGE: Rule = (
    "host/name:tag in small letters, such as ghcr.io/me/detector:1.0",
    _matches(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:\w[\w.-]{0,127}"),
)

REQUIRED: dict[str, Rule] = {
    "title": TEXT,
    "short_title": (f"a text of 1 to {LONGEST_SHORT_TITLE} characters", _is_short),
    "image": IMAGE,
    "authors": ("a list of persons, none of them twice", _is_list),
    "license": TEXT,
}
OPTIONAL: dict[str, Rule] = {
    "version": ("a number or a text that is not empty", _is_version),
    "date_released": ("a date such as 2026-01-31, as a text", _is_date),
    "abstract": TEXT,
    "repository": ("an address that begins with https://", _matches(r"(https?|s?ftp)://\S+")),
    "datasets": ("a list of names, none of them twice", _are_texts),
}
IN_PERSON: dict[str, Rule] = {
    "given_names": TEXT,
    "family_names": TEXT,
    "affiliation": TEXT,
    "email": ("an address such as name@example.org", _matches(r"[^\s@]+@[^\s@]+\.[^\s@.]{2,}")),
}
"""What each field must be, in words and as a test. Source: the schema in the repository of SzCORE,
``config/schema.json``."""


def check_algorithm(about: Mapping[str, Any]) -> None:
    """Refuse an algorithm file that SzCORE would refuse.

    Parameters
    ----------
    about
        Its fields, in plain types.

    Raises
    ------
    ValueError
        If a field is missing, unknown or not what it must be; the first such is named.
    """
    for name in REQUIRED:
        if name not in about:
            raise ValueError(f"Missing {name}: must be {REQUIRED[name][0]}")
    _check_fields("", about, REQUIRED | OPTIONAL)
    for number, person in enumerate(about["authors"], start=1):
        if not isinstance(person, Mapping) or not person:
            raise ValueError(f"Invalid author {number}: {person!r}, must have names")
        _check_fields(f" of author {number}", person, IN_PERSON)


def _check_fields(whose: str, about: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    for name, value in about.items():
        if name not in rules:
            raise ValueError(f"Invalid field{whose}: {name!r}, possible options: {list(rules)}")
        must, holds = rules[name]
        if not holds(value):
            raise ValueError(f"Invalid {name}{whose}: {value!r}, must be {must}")


def parse_authors(text: str) -> list[dict[str, str]]:
    """Read persons, ``"Given Family <mail>, Affiliation"``, with semicolons between them.

    The last word before the address or the comma is the family name; mail and affiliation may be
    left out.

    Raises
    ------
    ValueError
        If a person has no such form, or no given and family name.
    """
    return [_parse_person(one.strip()) for one in text.split(";") if one.strip()]


def _parse_person(text: str) -> dict[str, str]:
    found = PERSON.fullmatch(text)
    names = found["name"].split() if found else []
    if found is None or len(names) < 2:
        raise ValueError(
            f"Invalid author: {text!r}, must be like 'Given Family <mail@example.org>, Affiliation'"
        )
    known = {"given_names": " ".join(names[:-1]), "family_names": names[-1]}
    rest = {"affiliation": found["affiliation"], "email": found["email"]}
    return known | {name: value for name, value in rest.items() if value is not None}


def training_sets(decoder: Decoder, given: str = "") -> list[str]:
    """Return the data sets that a decoder has seen, those given and those that its names tell.

    Parameters
    ----------
    decoder
        Its provenance has the names of its recordings.
    given
        Names with semicolons between them, or ``"none"``.

    Raises
    ------
    ValueError
        If nothing is given and it is not known of some recording where it is from.
    """
    found = {one: _data_set(one) for one in _recordings(decoder)}
    unknown = [one for one, name in found.items() if not name]
    if not given and (unknown or not found):
        example = f", such as of {unknown[0]!r}" if unknown else ""
        raise ValueError(
            "Missing trained_on: the decoder does not tell from which data sets all of its "
            f"recordings are{example}, must be their names with semicolons between, or {NOTHING!r}"
        )
    named = [one.strip() for one in given.split(";") if one.strip() and one.strip() != NOTHING]
    return list(dict.fromkeys([*(name for name in found.values() if name), *named]))


def _recordings(decoder: Decoder) -> list[str]:
    parts = decoder.provenance.get("recordings", {})
    return [name for part in parts.values() for name in part]


def _data_set(recording: str) -> str:
    matching = (name for form, name in DATA_SETS.items() if re.fullmatch(form, recording))
    return next(matching, "")


def describe(decoder: Decoder) -> str:
    """Return an abstract: what the detector is, what comes in, on whom it was trained."""
    numbers = sum(weights.size for weights in decoder.weights.values())
    names = [str(stage["stage"]) for stage in decoder.stages]
    fold = decoder.provenance.get("certificate", {}).get("fold", {})
    people = " and ".join(
        f"{len(fold[part])} for {part}" for part in ("train", "validation") if fold.get(part)
    )
    sentences = [
        f"The network {decoder.network} ({numbers} numbers) of Ranvier {version('ranvier')}.",
        _input(decoder, names),
        f"Stages: {', '.join(names)}.",
        "Nothing looks ahead: a stream gets the same answer as a file.",
        f"Subjects: {people}." if people else "",
    ]
    return " ".join(filter(None, sentences))


def _input(decoder: Decoder, stages: Sequence[str]) -> str:
    channels = len(decoder.channels)
    if "derive_montage" not in stages:
        return f"Input: {channels} channels."
    return (
        f"Input: referential or bipolar channels, from which {channels} derivations are formed; "
        "those that cannot be formed are left out."
    )


def algorithm_text(about: Mapping[str, Any]) -> str:
    """Return the algorithm file; the image stands alone on its line, where the challenge looks."""
    import yaml

    return str(yaml.safe_dump(dict(about), sort_keys=False, allow_unicode=True, width=10_000))
