"""What a C compiler makes of a source: bytes of code, of constants and of stack."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = tuple[str, float, str]

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
"""With which every source compiles."""

SECTION = re.compile(r"^\.text\S*\s+(\d+)", re.MULTILINE)
NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def command(compiler: str) -> list[str]:
    """Return the words of a command.

    Raises
    ------
    ValueError
        If its quotation marks do not fit together.
    """
    try:
        return shlex.split(compiler)
    except ValueError as error:
        raise ValueError(
            f"Invalid compiler: {compiler!r}, {error}, must be a command with its options"
        ) from None


def compiled(
    texts: Mapping[str, str], name: str, words: Sequence[str]
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Compile a source and return rows of sizes, and what could not be found out.

    Parameters
    ----------
    texts
        Files by name.
    name
        Of the decoder: ``name.c`` is compiled, and the stack of ``name_step`` is wanted.
    words
        Of the command of a compiler, such as ``["cc", "-O2"]``; empty for none.

    Raises
    ------
    ValueError
        If the compiler does not take the source.
    """
    if not words:
        return (), ()
    if not shutil.which(words[0]):
        return (), (f"there is no compiler {words[0]!r}: sizes of code and stack are not known",)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"{name}.c", Path(folder) / f"{name}.o"
        for file, text in texts.items():
            (Path(folder) / file).write_text(text, encoding="utf-8")
        extra = ["-fcallgraph-info=su"] if _knows_stack(words) else []
        _compile([*words, *FLAGS, *extra, "-c", str(source), "-o", str(target)])
        graph = next(iter(Path(folder).glob("*.ci")), None)
        stack = deepest(graph.read_text(), f"{name}_step") if graph else None
        told = {"code": _code(target, words[0]), "stack": stack}
    rows = tuple((what, size, "bytes") for what, size in told.items() if size)
    notes = (f"{words[0]} does not tell the size of the {what}" for what in told if not told[what])
    return rows, tuple(notes)


def _compile(words: Sequence[str]) -> None:
    done = _run(words)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        raise ValueError(f"Invalid compiler: {words[0]} did not take the source ({reason.strip()})")


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _knows_stack(words: Sequence[str]) -> bool:
    return "Free Software Foundation" in _run([*words, "--version"]).stdout


def _code(target: Path, compiler: str) -> int:
    """Add up the sections of code, as the size program of the compiler says; 0 if there is none."""
    own = re.sub(r"(gcc|cc|clang)[^/]*$", "size", compiler)
    size = own if own != compiler and shutil.which(own) else "size"
    said = _run([size, "-A", str(target)]).stdout if shutil.which(size) else ""
    return sum(int(count) for count in SECTION.findall(said))


def deepest(graph: str, entry: str) -> int | None:
    """Return the most stack that a function and those that it calls take together.

    Parameters
    ----------
    graph
        Calls and bytes of each function, as gcc writes them.
    entry
        Name of the function.
    """
    own = {_plain(name): int(size) for name, size in NODE.findall(graph)}
    calls: dict[str, list[str]] = {}
    for caller, called in EDGE.findall(graph):
        calls.setdefault(_plain(caller), []).append(_plain(called))
    return _depth(entry, own, calls) if entry in own else None


def _depth(name: str, own: Mapping[str, int], calls: Mapping[str, list[str]]) -> int:
    below = (_depth(called, own, calls) for called in calls.get(name, []))
    return own.get(name, 0) + max(below, default=0)


def _plain(name: str) -> str:
    return name.rpartition(":")[2]
