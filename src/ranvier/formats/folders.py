"""What lies in a folder."""

from __future__ import annotations

import os
from pathlib import Path


def everything_below(folder: Path) -> list[Path]:
    """List files and folders below one, sorted.

    Raises
    ------
    ValueError
        If one of the folders cannot be looked into.
    """
    for _ in os.walk(folder, onerror=_refuse):
        pass
    return sorted(folder.rglob("*"))


def _refuse(error: OSError) -> None:
    raise ValueError(f"Cannot read {error.filename}: {error.strerror}")
