"""How much may be simulated at once."""

from __future__ import annotations

MOST = 10_000
"""Subjects, nights or sessions of each, units."""
LONGEST = 1440.0
"""Minutes: a day of each subject, or of each session or night of one."""


def check_within(name: str, value: float, least: float, most: float = MOST) -> None:
    """Refuse a parameter that is out of its range.

    Raises
    ------
    ValueError
        If it is too small, too large or no number.
    """
    if not least <= value <= most:
        raise ValueError(
            f"Invalid {name}: {value}, must be at least {least:g} and at most {most:g}"
        )
