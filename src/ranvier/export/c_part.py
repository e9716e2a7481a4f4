"""What each stage, network and decision gives to the C source: its part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ranvier.export.c_constants import STORED, Constant, Field, filled

Weights = Literal["float32", "int16", "int8"]
Buffers = Literal["float32", "int16"]

SHARED = (
    "bits", "power_of_two", "magnitude", "logarithm", "exponential", "raised", "root",
    "inverse_root", "dot", "total",
)  # fmt: skip
"""Functions that parts may use, each below those that it uses itself."""


@dataclass(frozen=True)
class Storage:
    """How numbers are stored.

    Parameters
    ----------
    weights
        ``"float32"``, ``"int16"`` or ``"int8"``; whole numbers have a scale for each output.
    buffers
        ``"float32"`` or ``"int16"``, for signals that are kept: the second of a spectrum, a clip.
    """

    weights: Weights = "float32"
    buffers: Buffers = "float32"

    def __post_init__(self) -> None:
        for name, allowed in (("weights", list(STORED)), ("buffers", ["float32", "int16"])):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"Invalid {name}: {getattr(self, name)!r}, possible options: {allowed}"
                )


@dataclass(frozen=True)
class Place:
    """Where a part stands, which is all that it may know of the others.

    Parameters
    ----------
    decoder
        What the names of the decoder begin with.
    part
        What the names of the part begin with.
    taken
        C type of what comes in.
    size
        How many numbers come in at a time.
    storage
        How numbers are stored.
    """

    decoder: str
    part: str
    taken: str
    size: int
    storage: Storage

    @property
    def wide(self) -> str:
        """C type of numbers that need many digits."""
        return f"{self.decoder}_wide"

    def fill(self, template: str, **given: Any) -> str:
        """Fill a template, which may use the names of the place."""
        names = {"name": self.decoder, "part": self.part, "PART": self.part.upper()}
        return filled(f"{template}.c.in", {**names, "taken": self.taken, **given})

    def field(self, ctype: str, name: str, *shape: int) -> Field:
        """Return a member of the state, by a name of its own."""
        return Field(ctype, f"{self.part}_{name}", shape)

    def constant(self, name: str, ctype: str, values: Any) -> Constant:
        """Return a table, by a name of its own."""
        return Constant(f"{self.part}_{name}", ctype, np.asarray(values))


@dataclass(frozen=True)
class Part:
    """What goes into the source for a stage, a network or a decision.

    Its function takes what is named in ``needs``, of ``"state"`` and ``"scratch"``, then what comes
    in and where to put what goes out; it returns whether something did. A network gives the logits
    of its classes, averaged over its sites, NaN where they are not valid.

    Parameters
    ----------
    place
        Where it stands.
    code
        Its functions.
    gives, size
        C type and count of the numbers that go out.
    needs
        What its function takes before what comes in.
    uses
        What it uses of ``SHARED``.
    constants, state, scratch
        Its tables; what it carries on; what it needs within a call, reached as
        ``scratch->during.<part>.<field>``.
    start
        Statements that begin its state, where that is not all zeros.
    in_place
        Whether it writes over what comes in.
    operations
        Floating-point operations each time that something comes in, on average.
    """

    place: Place
    code: str
    gives: str
    size: int
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    constants: tuple[Constant, ...] = ()
    state: tuple[Field, ...] = ()
    scratch: tuple[Field, ...] = ()
    start: str = ""
    in_place: bool = False
    operations: float = 0.0

    def call(self, taken: str, given: str) -> str:
        """Return the call of its function."""
        return f"{self.place.part}({', '.join([*self.needs, taken, given])})"


def check_alone(network: Any, place: Place) -> None:
    """Refuse a network of samples that looks back on windows, or should keep them as int16.

    Raises
    ------
    ValueError
        If it does.
    """
    context = getattr(network, "context", None)
    if context:
        raise ValueError(f"Invalid context: {context.windows} cannot be exported to C, must be 0")
    if place.storage.buffers != "float32":
        raise ValueError(
            f"Invalid buffers: {place.storage.buffers!r}, must be 'float32' for {place.part}"
        )
