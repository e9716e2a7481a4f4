"""What the options of networks may be; each refusal is one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TypeVar

Form = TypeVar("Form")


def check_sizes(least: int = 1, **sizes: int) -> None:
    """Refuse sizes that are no whole numbers or below the least."""
    check_whole(**sizes)
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"Invalid {name}: {size}, must be at least {least}")


def check_whole(**sizes: object) -> None:
    """Refuse sizes that are no whole numbers."""
    for name, size in sizes.items():
        if not isinstance(size, Integral):
            raise ValueError(f"Invalid {name}: {size}, must be a whole number")


def check_divides(name: str, size: int, whole: int) -> None:
    """Refuse a size that does not divide the whole."""
    check_whole(**{name: size})
    if size < 1 or whole % size:
        raise ValueError(f"Invalid {name}: {size}, must divide {whole}")


def check_dropout(dropout: float, name: str = "dropout") -> None:
    """Refuse a share that is not from 0 to below 1."""
    if not 0 <= dropout < 1:
        raise ValueError(f"Invalid {name}: {dropout}, must be at least 0 and below 1")


def choose(name: str, given: str, options: Mapping[str, Form]) -> Form:
    """Return the option of this name, refuse others."""
    if given not in options:
        raise ValueError(f"Invalid {name}: {given!r}, possible options: {list(options)}")
    return options[given]
