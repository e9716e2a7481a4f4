"""One run at a time writes to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """Refuse a second writer, by a lock of SQLite: the system ends it when a run is killed, too.

    Parameters
    ----------
    folder
        Made where it is missing.

    Raises
    ------
    ValueError
        If another run is writing to the folder.
    """
    import sqlite3

    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            lock = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
            held.callback(lock.close)
            lock.execute("PRAGMA journal_mode = MEMORY")
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise ValueError(
                    f"Cannot write {folder}: another run is writing to it, must be done first"
                ) from None
        yield folder
