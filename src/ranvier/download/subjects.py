"""Whose files are wanted: names and ranges of names, such as ``chb01-chb05`` or ``00-09``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_NUMBERED = re.compile(r"(.*?)(\d+)")


def chosen_subjects(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the subjects that are asked for, in the order in which they are known.

    Parameters
    ----------
    asked
        Names, and ranges from one name to another: ``chb01-chb05``, or ``chb01-05``. Ends without
        letters, ``00-09``, are the last digits of names. Numbers within a range may be missing.
    known
        All there are.

    Raises
    ------
    ValueError
        If a name or an end of a range is not there.
    """
    found = {one: [one] if one in known else list(_between(one, known)) for one in asked}
    if absent := [one for one, names in found.items() if not names]:
        raise ValueError(
            f"Invalid subjects: {absent}, possible options: {list(known)} and ranges of them"
        )
    wanted = {name for names in found.values() for name in names}
    return [name for name in known if name in wanted]


def _between(asked: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the names of a range whose two ends are there; nothing for any other text."""
    for hyphen in re.finditer("-", asked):
        first = _NUMBERED.fullmatch(asked[: hyphen.start()])
        last = _NUMBERED.fullmatch(asked[hyphen.end() :])
        if first and last and last[1] in {first[1], ""} and len(first[2]) == len(last[2]):
            numbers = _numbers(first[1], len(first[2]), known)
            if {first[2], last[2]} <= set(numbers.values()):
                yield from (name for name, one in numbers.items() if first[2] <= one <= last[2])


def _numbers(letters: str, digits: int, known: Sequence[str]) -> dict[str, str]:
    """Return the digits of all names that are these letters and so many digits, or end in them."""
    pattern = re.compile(rf"{re.escape(letters) or '.*'}(\d{{{digits}}})")
    matched = ((name, pattern.fullmatch(name)) for name in known)
    return {name: found[1] for name, found in matched if found}
