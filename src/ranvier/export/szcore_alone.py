"""The program of a container shut off as a container is: no rights, no network, one open folder.

Reads from stdin what is to be run and writes to stdout what came of it, both as JSON. Everything
that the program imports is imported before rights are given up, for the Python that runs it may
lie where only its owner can read.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ranvier.export import szcore_entry

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
OPENING = "open"
CHANGING = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.symlink", "os.link")
"""What Python tells of changes to files. Source: the table of audit events in its documentation."""


def main() -> int:
    """Run the program on each file that stdin names, and say what came of it."""
    asked = json.load(sys.stdin)
    decoder = asked["decoder"]
    with tempfile.TemporaryDirectory() as folder:
        _run([decoder, asked["cases"][0]["input"], f"{folder}/warm.tsv"])
    drop_rights(asked["uid"])
    allowed: list[str] = []
    sys.addaudithook(watch(allowed))
    done = []
    for case in asked["cases"]:
        allowed[:] = [str(Path(case["output"]).parent)]
        done.append(_run([decoder, case["input"], case["output"]]))
    json.dump(done, sys.stdout)
    return 0


def drop_rights(uid: int | None) -> None:
    """Become a user who owns nothing; nobody can go back from there."""
    if uid is None:
        return
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def watch(allowed: Sequence[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that refuses sockets, programs, and changes outside some folders."""

    def hook(event: str, about: tuple[Any, ...]) -> None:
        if event.startswith(("socket.", "subprocess.", "os.system", "os.exec")):
            raise PermissionError(f"{event} is not possible in the container")
        writes = event == OPENING and isinstance(about[2], int) and about[2] & WRITING
        if (writes or event in CHANGING) and not _inside(about[0], allowed):
            raise PermissionError(f"{about[0]} is changed, which is outside the output folder")

    return hook


def _inside(path: Any, allowed: Sequence[str]) -> bool:
    if isinstance(path, int):  # it was opened before
        return True
    found = Path(os.fsdecode(path)).absolute()
    return any(found.is_relative_to(folder) for folder in (*allowed, "/dev"))


def _run(arguments: list[str]) -> dict[str, Any]:
    said, start = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = szcore_entry.main(arguments)
        except Exception:  # a fault of the program is a finding like any other
            traceback.print_exc()
            code = -1
    seconds = time.perf_counter() - start
    return {"code": code, "said": said.getvalue().strip(), "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
