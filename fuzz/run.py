"""Give a reader bytes that go where no bytes went before, for as long as it is told.

``python fuzz/run.py edf -max_total_time=60``; options are those of libFuzzer. What is found lies
in the current folder, as ``crash-...``, ``timeout-...`` or ``oom-...``.
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ranvier"]):
    import readers

LIMITS = ("-timeout=10", "-rss_limit_mb=3000", "-max_len=8192")


def main() -> None:
    """Run one reader."""
    name, *options = sys.argv[1:]
    shared = Path("/dev/shm")
    base = shared if shared.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix=f"ranvier-fuzz-{os.getpid()}-", dir=base))
    found = tempfile.mkdtemp(prefix=f"ranvier-found-{name}-")

    def one(content: bytes) -> None:
        readers.check(name, content, folder)

    seeds = str(readers.CORPUS / name)
    atheris.Setup([sys.argv[0], *LIMITS, *options, found, seeds], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
