"""What a machine can do, and what a decoder needs of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ranvier.bench.steps import noise
from ranvier.decoder import Decoder, load
from ranvier.networks import make_network
from ranvier.runtime import has_torch

PRODUCT = 1024
"""Rows and columns of the matrices whose product tells how fast the machine multiplies."""

CHILD = (
    "import sys; from ranvier.bench.machine import memory_here; "
    "sys.stdout.write(str(memory_here(sys.argv[1], sys.argv[2])))"
)


def memory_of(path: str | os.PathLike[str], engine: str) -> float | None:
    """Return the most bytes of a new process that decodes some seconds of noise.

    Parameters
    ----------
    path
        A ``.ranvier`` file.
    engine
        What computes.

    Returns
    -------
    float or None
        None where the system does not tell.
    """
    words = [sys.executable, "-P", "-c", CHILD, str(path), engine]
    given = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=given)
    return float(done.stdout) or None if not done.returncode else None


def memory_here(path: str, engine: str) -> float:
    """Decode some seconds of noise and return the most bytes that this process has had."""
    decoder = load(path, engine=engine)
    decoder.predict(noise(decoder, 3))
    return most_resident()


def most_resident() -> float:
    """Return the most bytes in memory that this process has had, 0 where it is not known."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the process was before it became Python
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return 1024.0 * int(found[0]) if found else 0.0
    try:
        import resource
    except ModuleNotFoundError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def file_sizes(path: str | os.PathLike[str]) -> dict[str, int]:
    """Return the bytes of a decoder file, and of what is in it before it is compressed."""
    with zipfile.ZipFile(path) as file:
        parts = {one.filename: one.file_size for one in file.infolist()}
    return {Path(path).name: Path(path).stat().st_size, **parts}


def operations_of(decoder: Decoder) -> int | None:
    """Count what a network multiplies and adds for one answer of all its sites.

    Products of matrices and convolutions are counted, two operations for each multiplication with
    its addition; what is done value by value is not. None without torch, or where a network has no
    step of its own.
    """
    if not has_torch():
        return None
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = make_network(decoder.network, decoder.channels, decoder.network_settings).eval()
    network.requires_grad_(requires_grad=False)
    try:
        steps, state = network.steady(2)
    except ValueError:
        return None
    tail = () if network.features is None else (network.features,)
    chunk = torch.zeros(2, steps, len(network.channels), *tail)
    with torch.inference_mode(), _in_products(), FlopCounterMode(display=False) as counter:
        network.step(chunk, state)
    return int(counter.get_total_flops()) // 2


@contextmanager
def _in_products() -> Iterator[None]:
    """Let torch do an LSTM product by product; oneDNN's is one operation that is not counted."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of graphics cards that are not there
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def multiplied(*, rounds: int = 9, clock: Callable[[], float] = time.process_time) -> float:
    """Measure how many operations one processor does each second in a product of matrices."""
    left, right = np.random.default_rng(0).random((2, PRODUCT, PRODUCT), dtype=np.float32)
    took = []
    for _ in range(rounds):
        began = clock()
        np.matmul(left, right)
        took.append(clock() - began)
    return float(2 * PRODUCT**3 / max(min(took), 1e-9))
