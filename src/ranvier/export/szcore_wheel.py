"""The installed Ranvier as a wheel, and the versions it runs with: what a container installs.

A container is to run the code by which its decoder was exported, also where that is no release.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import ranvier

PACKAGE = "ranvier"
KEPT = ("METADATA", "entry_points.txt", "licenses/LICENSE")
"""What is taken over from the installed package, where it is there."""

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[(?P<extras>[^]]*)\])?(?P<rest>.*)")
EXTRA = re.compile(r"extra\s*==\s*[\"'](?P<name>[^\"']+)")


def wheel_name() -> str:
    """Return the file name of the wheel."""
    return f"{PACKAGE}-{distribution(PACKAGE).version}-py3-none-any.whl"


def write_wheel(folder: Path) -> Path:
    """Write the installed package as a wheel; the same code gives the same bytes.

    Parameters
    ----------
    folder
        Where it goes.

    Returns
    -------
    Path
        The wheel.
    """
    found = distribution(PACKAGE)
    about = f"{PACKAGE}-{found.version}.dist-info"
    parts = {**dict(_code()), **dict(_about(found, about))}
    record = "".join(
        f"{name},{_digest(content)},{len(content)}\n" for name, content in parts.items()
    )
    parts[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n".encode()
    path = folder / wheel_name()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def _code() -> Iterator[tuple[str, bytes]]:
    root = Path(ranvier.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{PACKAGE}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _about(found: Distribution, folder: str) -> Iterator[tuple[str, bytes]]:
    for name in KEPT:
        if text := found.read_text(name):
            yield f"{folder}/{name}", text.encode()
    lines = ("Wheel-Version: 1.0", f"Generator: {PACKAGE}", "Root-Is-Purelib: true")
    yield f"{folder}/WHEEL", "\n".join([*lines, "Tag: py3-none-any", ""]).encode()


def _digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def pins() -> str:
    """Return the versions of all that the core of the package needs, one constraint a line."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(PACKAGE, frozenset[str]())]
    while waiting:
        name, extras = needed = waiting.pop()
        seen.add(needed)
        try:
            one = distribution(name)
        except PackageNotFoundError:  # needed on other systems only
            continue
        found[name] = one.version
        waiting += [other for other in _needs(one, extras) if other not in seen]
    found.pop(PACKAGE)
    return "".join(f"{name}=={number}\n" for name, number in sorted(found.items()))


def _needs(found: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in found.requires or ():
        requirement, _, marker = line.partition(";")
        extra = EXTRA.search(marker)
        parts = REQUIREMENT.match(requirement.strip())
        if parts and (extra is None or extra["name"] in extras):
            wanted = (parts["extras"] or "").split(",")
            yield _plain(parts["name"]), frozenset(one.strip() for one in wanted if one.strip())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
