"""Work in a process of its own, where a file that makes a library hang or crash does no harm."""

from __future__ import annotations

import subprocess
import sys

PATIENCE = 600
"""Seconds within which a file must be read."""


def in_own_process(
    function: str, *words: str, library: str, content: bytes = b"", patience: float = PATIENCE
) -> bytes:
    """Call a function of the package in a new process and return what it writes.

    Parameters
    ----------
    function
        Module and name, such as ``"ranvier.formats.nwb:pass_on"``.
    *words
        Its command line, behind a first word.
    library
        What is to blame when the process dies without a word.
    content
        Its standard input.
    patience
        Seconds within which it must be done.

    Raises
    ------
    ValueError
        With the last line that it writes to its standard error when it exits with 1, or when it
        dies or takes too long.
    """
    module, _, name = function.partition(":")
    # -P, since modules of the current folder would be imported instead of those that are meant.
    child = [sys.executable, "-P", "-c", f"from {module} import {name}; {name}()", *words]
    try:
        done = subprocess.run(
            child, input=content, capture_output=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"it could not be read within {patience:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(said[-1] if done.returncode == 1 and said else f"{library} crashes on it")
    return done.stdout
