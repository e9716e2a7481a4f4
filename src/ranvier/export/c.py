"""A decoder as C: one source and one header without dependencies, and a small program.

The source does what ``Decoder.bind`` makes for one layout: the stages, the network, the decision.
All that is carried from sample to sample is one struct of fixed size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from ranvier.channels import TEN_TWENTY
from ranvier.decoder import Decoder, weights_hash
from ranvier.decoding import Chain
from ranvier.export import Exported, c_decision, c_stages, write_files
from ranvier.export.c_compiled import command, compiled
from ranvier.export.c_constants import (
    Constant,
    Field,
    escaped,
    filled,
    joined,
    number,
    struct_bytes,
)
from ranvier.export.c_part import SHARED, Buffers, Part, Place, Storage, Weights
from ranvier.recording import Layout
from ranvier.runtime import check_engine
from ranvier.stages import STAGES

NETWORKS = {
    "rest": "ranvier.export.c_rest:emit_rest",
    "arnn": "ranvier.export.c_arnn:emit_arnn",
    "lstm": "ranvier.export.c_lstm:emit_lstm",
    "inception": "ranvier.export.c_inception:emit_inception",
}
"""What emits each network: a function of the network and its place, to a ``Part``."""

RATE = 256.0
"""Samples per second that come in, unless told otherwise."""

HIGHEST_RATE = 100_000
"""Samples per second that may come in; more would need tables without end."""

SYSTEM = frozenset(
    "assert complex ctype errno features fenv float inttypes iso646 limits locale malloc math "
    "memory setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn "
    "string strings tgmath threads time uchar unistd wchar wctype".split()
)
"""Headers that compilers come with, which one of the same name would hide."""

NOT_INT8 = "the step of eight bits is left out: these are the weights before it, stored as {}"


@dataclass(frozen=True)
class Source:
    """The C form of a decoder, before it is written.

    Parameters
    ----------
    name
        What all its names begin with.
    title
        One line that says what it is.
    chain
        What it does.
    parts
        In the order of the signal; the last one decides.
    frames
        How often something comes into each part, in Hz.
    """

    name: str
    title: str
    chain: Chain
    parts: tuple[Part, ...]
    frames: tuple[float, ...]

    @property
    def constants(self) -> list[Constant]:
        """All tables."""
        return [table for part in self.parts for table in part.constants]

    @property
    def state(self) -> list[Field]:
        """Members of the state."""
        return [one for part in self.parts for one in part.state]

    @property
    def given(self) -> list[Field]:
        """Where what goes out of a part lies; one that writes over what came in has none."""
        return [
            Field(part.gives, f"{part.place.part}_out", (part.size,))
            for part in self.parts[:-1]
            if not part.in_place
        ]

    def sizes(self, wide: str) -> dict[str, int]:
        """Return bytes of all tables and of both structs, where wide numbers are of this type."""
        parts = [struct_bytes(part.scratch, wide) for part in self.parts if part.scratch]
        union = Field("float", "during", (-(-max(parts, default=0) // 4),))
        return {
            "constants": sum(table.bytes(wide) for table in self.constants),
            "state": struct_bytes(self.state, wide),
            "scratch": struct_bytes([*self.given, union], wide),
        }

    @property
    def operations(self) -> dict[str, float]:
        """Floating-point operations of each part for one answer."""
        rate = self.chain.pipeline.output.rate
        return {
            part.place.part: part.operations * frames / rate
            for part, frames in zip(self.parts, self.frames, strict=True)
        }

    def header(self) -> str:
        """Return the header."""
        layout = self.chain.layout
        return filled(
            "header.h.in",
            {
                **self._names(),
                "channels": len(layout.channels),
                "names": ", ".join(f'"{escaped(name)}"' for name in layout.channels),
                "rate": number(layout.rate, "double"),
                "hop": number(self.chain.hop, "double"),
                "frames": max(1, int(self.chain.hop * layout.rate)),
                "state": _members(self.state),
                "scratch": _members(self.given, *self._during()),
                "output": filled(f"{self.parts[-1].place.part}_output.h.in", self._names()),
            },
        )

    def _names(self) -> dict[str, str]:
        return {"name": self.name, "NAME": self.name.upper(), "title": escaped(self.title)}

    def _during(self) -> Iterator[str]:
        needing = [part for part in self.parts if part.scratch]
        if needing:
            yield "    union {"
            for part in needing:
                fields = " ".join(one.text for one in part.scratch)
                yield f"        struct {{ {fields} }} {part.place.part};"
            yield "    } during;"

    def source(self) -> str:
        """Return the source."""
        used = {name for part in self.parts for name in part.uses}
        shared = [filled(f"{name}.c.in", {}) for name in SHARED if name in used]
        calls, last = self._calls()
        return filled(
            "source.c.in",
            {
                **self._names(),
                "constants": joined(table.text for table in self.constants),
                "code": joined([*shared, *(part.code for part in self.parts)]),
                "start": "".join(part.start for part in self.parts),
                "most": c_stages.MOST,
                "chain": "\n        || ".join(f"!{call}" for call in calls),
                "decide": self.parts[-1].call(last, "output"),
            },
        )

    def _calls(self) -> tuple[list[str], str]:
        """Return the calls of all parts but the last, and what they leave."""
        taken, calls = "sample", []
        for part in self.parts[:-1]:
            given = taken if part.in_place else f"scratch->{part.place.part}_out"
            calls.append(part.call(taken, given))
            taken = given
        return calls, taken

    def example(self) -> str:
        """Return a program that decodes a file of samples."""
        channels = len(self.chain.layout.channels)
        return filled("example.c.in", {**self._names(), "channels": channels})


def _members(fields: Sequence[Field], *more: str) -> str:
    return "\n".join([*(f"    {one.text}" for one in fields), *more])


def export_c(
    decoder: Decoder,
    out: Path,
    *,
    name: str = "decoder",
    channels: Sequence[str] | None = None,
    rate: float = RATE,
    weights: Weights = "float32",
    buffers: Buffers = "float32",
    compiler: str = "cc -O2",
) -> Exported:
    """Write a decoder as C99: a source, a header and a program that decodes a file of samples.

    Parameters
    ----------
    decoder
        A seizure detector whose stages and network can be exported.
    out
        Folder for ``name.c``, ``name.h`` and ``name_example.c``.
    name
        What all names begin with.
    channels
        Channels that will come in; by default the 19 leads of the 10-20 system where a montage is
        derived, else those of the network.
    rate
        Samples per second that will come in.
    weights, buffers
        As for ``Storage``.
    compiler
        What tells the sizes of code and stack, with its options; empty for none.

    Raises
    ------
    ValueError
        If a stage, the network or the decision cannot be exported, or the layout cannot be decoded.
    """
    storage = Storage(weights, buffers)
    layout = _layout(decoder, channels, rate)
    made = make_source(decoder, _identifier(name), layout, storage)
    texts = {
        f"{made.name}.h": made.header(),
        f"{made.name}.c": made.source(),
        f"{made.name}_example.c": made.example(),
    }
    texts = {file: f"{text}\n" for file, text in texts.items()}
    words = command(compiler)
    found, notes = compiled(texts, made.name, words)
    files = write_files(out, {file: text.encode() for file, text in texts.items()})
    rows = (*_sizes(made, words), *found, *_operations(made))
    eight_bits = [NOT_INT8.format(weights)] if decoder.runs_on == "int8" else []
    return Exported(files, rows, (*decoder.coverage_notes(layout), *eight_bits, *notes))


def _sizes(made: Source, options: Sequence[str]) -> list[tuple[str, float, str]]:
    wide = "float" if f"-D{made.name.upper()}_WIDE=float" in options else "double"
    return [(name, size, "bytes") for name, size in made.sizes(wide).items()]


def _operations(made: Source) -> list[tuple[str, float, str]]:
    each = {name: round(count) for name, count in made.operations.items() if count}
    rows = [(f"operations of {name}", float(count), "an answer") for name, count in each.items()]
    return [("operations", float(sum(each.values())), "an answer"), *rows]


def make_source(decoder: Decoder, name: str, layout: Layout, storage: Storage) -> Source:
    """Make the C form of a decoder for one layout.

    Raises
    ------
    ValueError
        If a stage, the network or the decision cannot be exported, the layout cannot be decoded, or
        torch is not installed.
    """
    check_engine("torch")
    _known("network", decoder.network, list(NETWORKS))
    chain = decoder.bind(layout)
    parts: list[Part] = []
    for kind, emit in _emitters(decoder, chain):
        count = sum(one.place.part.rstrip("_23456789") == kind for one in parts)
        taken = (parts[-1].gives, parts[-1].size) if parts else ("float", len(layout.channels))
        parts.append(emit(Place(name, f"{kind}_{count + 1}" if count else kind, *taken, storage)))
    frames = (*(stage.rate for stage in chain.pipeline.stages), chain.pipeline.output.rate)
    return Source(name, _title(decoder), chain, tuple(parts), frames)


def _emitters(decoder: Decoder, chain: Chain) -> Iterator[tuple[str, Callable[[Place], Part]]]:
    """Yield for each part its kind and what emits it at its place."""
    for stage in chain.pipeline.stages[:-1]:
        kinds = {kind: name for name, kind in STAGES.items()}
        emitted = [name for name, kind in STAGES.items() if kind in c_stages.EMITTERS]
        _known("stage", kinds[type(stage)], emitted)
        yield kinds[type(stage)], partial(c_stages.EMITTERS[type(stage)], stage)
    module, _, function = NETWORKS[decoder.network].partition(":")
    network = decoder._module.eval()
    yield decoder.network, partial(getattr(import_module(module), function), network)
    decided = {kind.__name__: emitter for kind, emitter in c_decision.EMITTERS.items()}
    _known("decision", type(chain.decision).__name__, list(decided))
    called, decide = decided[type(chain.decision).__name__]
    yield called, partial(decide, chain.decision)


def _known(what: str, found: str, known: Sequence[str]) -> None:
    if found not in known:
        raise ValueError(
            f"Invalid {what}: {found!r} cannot be exported to C, possible options: {list(known)}"
        )


def _layout(decoder: Decoder, channels: Sequence[str] | None, rate: float) -> Layout:
    derived = any(stage["stage"] == "derive_montage" for stage in decoder.stages)
    if rate > HIGHEST_RATE:
        raise ValueError(f"Invalid rate: {rate:g} Hz, must be at most {HIGHEST_RATE} in C")
    if channels is None:
        channels = TEN_TWENTY if derived else decoder.channels
    if not channels:
        raise ValueError("Invalid channels: none, must be at least 1")
    return Layout(tuple(channels), float(rate))


def _identifier(name: str) -> str:
    """Return a name that C allows, and that is not one of the system."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    return plain if plain[:1].isalpha() and plain not in SYSTEM else f"decoder_{plain}"


def _title(decoder: Decoder) -> str:
    """Say what the source is, and of which weights."""
    return (
        f"{decoder.task.replace('_', ' ')} decoder {decoder.network}, weights "
        f"{weights_hash(decoder.weights)[:12]}, exported by Ranvier {version('ranvier')}"
    )
