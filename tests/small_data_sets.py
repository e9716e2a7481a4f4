"""Files of the seizure data sets, as small as they can be and in their published form."""

from datetime import datetime
from pathlib import Path

import numpy as np

from ranvier.formats import write_edf
from ranvier.recording import Layout

BIPOLAR = ("FP1-F7", "F7-T7", "T7-P7", "P7-O1", "T8-P8", "P8-O2", "P7-T7", "T8-P8", "-", "ECG")
REFERENTIAL = (
    "EEG FP1-REF",
    "EEG F7-REF",
    "EEG T3-REF",
    "EEG T5-REF",
    "EEG O1-REF",
    "EEG EKG1-REF",
)


def edf(
    path: Path,
    *,
    channels: tuple[str, ...] = BIPOLAR,
    seconds: int = 60,
    rate: float = 16.0,
    start: datetime | None = datetime(2010, 1, 2, 23, 50),
) -> Path:
    """Write noise."""
    rng = np.random.default_rng(list(str(path.name).encode()))
    signal = rng.normal(0, 20, (round(seconds * rate), len(channels)))
    return write_edf(path, signal, Layout(channels, rate), start=start)


def text(path: Path, *lines: str) -> Path:
    """Write lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "little") for number in numbers)


def skip(samples: int) -> bytes:
    high, low = divmod(samples % 2**32, 2**16)
    return words(59 << 10, high, low)


def remark(said: bytes) -> bytes:
    return words(22 << 10, 63 << 10 | len(said)) + said + b"\0" * (len(said) % 2)


def marks(*seizures: tuple[int, int], rate: int = 256) -> bytes:
    """Write onsets and ends in seconds as the published files have them."""
    content, now = remark(f"## time resolution: {rate}".encode()) + skip(-1) + words(1), 0
    for place, second in enumerate(time for seizure in seizures for time in seizure):
        content += skip(second * rate - now) + words((32 + place % 2) << 10)
        now = second * rate
    return content + words(0)
