"""Files of a record of Zenodo: its API lists them with sizes and MD5 checksums."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ranvier.download.asking import Manners, RefusedError
from ranvier.download.remote import RemoteFile, checksum_from, json_of, path_from, size_from

BASE = "https://zenodo.org/api/records"


def remote_files(record: str, manners: Manners, *, base: str = BASE) -> list[RemoteFile]:
    """Return the files of a record, given by its number.

    Raises
    ------
    RefusedError
        If its list cannot be had or is something else.
    """
    source = f"{base}/{record}"
    listed = json_of(source, manners).get("files")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise RefusedError(f"{source} is no list of files: it has no 'files'")
    return [_remote_file(one, source) for one in listed]


def _remote_file(file: dict[str, Any], source: str) -> RemoteFile:
    path = path_from(file.get("key"), source)
    return RemoteFile(
        path,
        f"{source}/files/{quote(path, safe='', errors='replace')}/content",
        size_from(file.get("size"), source),
        checksum_from(file.get("checksum")),
    )
