"""Files of a set of DANDI: its API lists them in pages, with sizes and SHA-256 checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ranvier.download.asking import Manners, RefusedError
from ranvier.download.remote import RemoteFile, checksum_from, json_of, path_from, size_from

BASE = "https://api.dandiarchive.org/api"
PAGE = 200
MOST_PAGES = 1000

_ASSET = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def remote_files(record: str, manners: Manners, *, base: str = BASE) -> list[RemoteFile]:
    """Return the files of a set, such as ``"000688"``, or of one version, ``"000688/0.250122"``.

    Without a version, the last that was published is taken, or else the draft.

    Raises
    ------
    RefusedError
        If its list cannot be had, is something else, or has folders of Zarr.
    """
    number, _, version = record.partition("/")
    version = version or _last_version(f"{base}/dandisets/{number}/", manners)
    source = f"{base}/dandisets/{number}/versions/{version}/assets/"
    return [_remote_file(one, base, source) for one in _assets(source, manners)]


def _last_version(source: str, manners: Manners) -> str:
    published = json_of(source, manners).get("most_recent_published_version")
    version = published.get("version") if isinstance(published, dict) else "draft"
    if not isinstance(version, str) or not re.fullmatch(r"draft|[0-9.]{1,40}", version):
        raise RefusedError(f"{source} has the version {version!r:.60}, must be a number")
    return version


def _assets(source: str, manners: Manners) -> Iterator[dict[str, Any]]:
    for page in range(1, MOST_PAGES + 1):
        asked = f"{source}?metadata=true&order=path&page_size={PAGE}&page={page}"
        found = json_of(asked, manners)
        listed = found.get("results")
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise RefusedError(f"{asked} is no list of files: it has no 'results'")
        yield from listed
        if not found.get("next") or not listed:
            return
    raise RefusedError(f"{source} has more than {MOST_PAGES} pages")


def _remote_file(asset: dict[str, Any], base: str, source: str) -> RemoteFile:
    path, name = path_from(asset.get("path"), source), str(asset.get("asset_id"))
    if asset.get("zarr"):
        raise RefusedError(f"{source} has {path!r}, a folder of Zarr, which is not downloaded here")
    if not _ASSET.fullmatch(name):
        raise RefusedError(f"{source} calls a file {name!r:.60}, must be a UUID")
    metadata = asset.get("metadata")
    digests = metadata.get("digest") if isinstance(metadata, dict) else None
    told = digests.get("dandi:sha2-256") if isinstance(digests, dict) else None
    return RemoteFile(
        path,
        f"{base}/assets/{name}/download/",
        size_from(asset.get("size"), source),
        checksum_from(f"sha256:{told}"),
    )
