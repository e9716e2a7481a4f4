"""Files of PhysioNet: ``SHA256SUMS.txt`` of a project lists all of them, without their sizes."""

from __future__ import annotations

import re
from urllib.parse import quote

from ranvier.download.asking import Manners, RefusedError, text_of
from ranvier.download.remote import RemoteFile

BASE = "https://physionet.org/files"
LIST = "SHA256SUMS.txt"

_LINE = re.compile(r"([0-9a-f]{64})\s+\*?(\S.*)", re.IGNORECASE)


def remote_files(record: str, manners: Manners, *, base: str = BASE) -> list[RemoteFile]:
    """Return the files of a version of a project, such as ``"chbmit/1.0.0"``.

    Raises
    ------
    RefusedError
        If its list cannot be had or is something else.
    """
    folder = f"{base}/{record}"
    lines = text_of(f"{folder}/{LIST}", manners).splitlines()
    files = []
    for number, line in enumerate(lines, start=1):
        if found := _LINE.fullmatch(line.strip()):
            path = found[2].removeprefix("./")
            url = f"{folder}/{quote(path)}"
            files.append(RemoteFile(path, url, checksum=f"sha256:{found[1].lower()}"))
        elif line.strip():
            raise RefusedError(
                f"{folder}/{LIST} is no list of checksums: line {number} is {line.strip()[:60]!r}"
            )
    return files
