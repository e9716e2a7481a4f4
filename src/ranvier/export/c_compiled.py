"""What a C compiler makes of a source: bytes of code, of constants and of stack."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

Row = tuple[str, float, str]

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
"""With which every source compiles."""

SECTION = re.compile(r"^\.(text|rodata)\S*\s+(\d+)", re.MULTILINE)
NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def compiled(
    texts: Mapping[str, str], name: str, compiler: str
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Compile a source and return rows of sizes, and what could not be found out.

    Parameters
    ----------
    texts
        Files by name.
    name
        Of the decoder: ``name.c`` is compiled, and the stack of ``name_step`` is wanted.
    compiler
        Command and options, such as ``"cc -O2"``; empty for none.

    Raises
    ------
    ValueError
        If the compiler does not take the source.
    """
    words = shlex.split(compiler)
    if not words:
        return (), ()
    if not shutil.which(words[0]):
        return (), (f"there is no compiler {words[0]!r}: sizes of code and stack are not known",)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"{name}.c", Path(folder) / f"{name}.o"
        for file, text in texts.items():
            (Path(folder) / file).write_text(text, encoding="utf-8")
        extra = ["-fcallgraph-info=su"] if _knows_stack(words) else []
        _run([*words, *FLAGS, *extra, "-c", str(source), "-o", str(target)])
        graph = next(iter(Path(folder).glob("*.ci")), None)
        stack = deepest(graph.read_text(), f"{name}_step") if graph else None
        sizes = _sections(target, words[0])
    rows: list[Row] = [("code", sizes["text"], "bytes")] if "text" in sizes else []
    if stack is None:
        return tuple(rows), (f"{words[0]} does not tell the size of the stack",)
    return (*rows, ("stack", stack, "bytes")), ()


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        raise ValueError(f"Invalid compiler: {words[0]} did not take the source ({reason.strip()})")
    return done.stdout


def _knows_stack(words: list[str]) -> bool:
    about = subprocess.run([words[0], "--version"], capture_output=True, text=True, check=False)
    return "Free Software Foundation" in about.stdout


def _sections(target: Path, compiler: str) -> dict[str, int]:
    """Add up the sections of code and of constants, as the size program of the compiler says."""
    size = re.sub(r"(gcc|cc|clang)[^/]*$", "size", compiler)
    if not shutil.which(size):
        return {}
    found: dict[str, int] = {}
    for kind, count in SECTION.findall(_run([size, "-A", str(target)])):
        found[kind] = found.get(kind, 0) + int(count)
    return found


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
