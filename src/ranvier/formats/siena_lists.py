"""Lists of seizures as the Siena Scalp EEG Database has them: ``Seizures-list-PN00.txt``.

They are written by hand, in clock time, and differ from patient to patient:

- ``19.58.36`` or ``19:58:36``; ``1 6.49.25`` (PN10) has a space too many.
- Two clocks for one onset (PN10): the electric one is taken, the clinical one only where it is
  alone.
- Each seizure repeats file and registration (most), the file alone (PN12) or neither (PN01).
- ``Seizure start time`` or ``Start time``.
- Names of files with the letter O for a zero (``PNO6-1.edf``), cut short (``PN11-.edf``) or
  without a number (``PN01.edf``).
- An end that is an hour late (PN00, seizure 3: 18.28.29 to 19.29.29 in a registration until
  18.57.13), a registration that begins three hours early (PN14) or ten seconds late (PN05).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DAY, HOUR = 86_400.0, 3600.0

_FIELD = re.compile(
    r"\s*(?:(?P<file>File\s+name)|(?P<registered>Registration\s+start\s+time)"
    r"|(?P<until>Registration\s+end\s+time)|(?P<onset>(?:Seizure\s+)?start\s+time)"
    r"|(?P<end>(?:Seizure\s+)?end\s+time))\s*:(?P<value>.*)",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2})[.:](\d\d)[.:](\d\d)([^;\d]*)")
_SPACE_IN_NUMBER = re.compile(r"(?<=\d)\s+(?=\d)")


@dataclass(frozen=True)
class ListedSeizure:
    """One seizure of a list.

    Parameters
    ----------
    file
        As the list calls it.
    registered, until
        Seconds of the day at which the recording began and ended; None where it is not said.
    onset, end
        Seconds of the day of the seizure.
    """

    file: str
    registered: float | None
    until: float | None
    onset: float
    end: float

    def seconds(self, start: float) -> tuple[float, float, bool]:
        """Return onset and end in seconds after a time of day, and whether the end was corrected.

        Clocks go on beyond midnight. An end that is later than the registration's, and an hour or
        more after the onset, is taken as hours too late.
        """
        onset, duration = (self.onset - start) % DAY, (self.end - self.onset) % DAY
        end = onset + duration
        is_late = self.until is not None and end > (self.until - start) % DAY
        if not is_late or duration < HOUR:
            return onset, end, False
        return onset, onset + duration % HOUR, True


def read_siena_list(path: str | os.PathLike[str]) -> list[ListedSeizure]:
    """Read the list of a patient's seizures.

    Raises
    ------
    ValueError
        If the file cannot be read, a line has no time, or a seizure no file, onset or end.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from None
    found: list[ListedSeizure] = []
    file, clocks = "", dict[str, float]()
    for number, line in enumerate(lines, start=1):
        if not (field := _FIELD.match(line)):
            continue
        which, value = _which(field), field["value"].strip()
        if which == "file":
            file, clocks = value, clocks if value == file else {}
            continue
        clocks[which] = _second_of_day(value, f"{path}, line {number}")
        if which == "end":
            found.append(_seizure(file, clocks, f"{path}, line {number}"))
            del clocks["onset"]
    if not found:
        raise ValueError(f"{path} is not a list of seizures: it has no line 'Seizure end time:'")
    return found


def _which(field: re.Match[str]) -> str:
    return next(name for name, text in field.groupdict().items() if text and name != "value")


def _seizure(file: str, clocks: dict[str, float], where: str) -> ListedSeizure:
    if not file or "onset" not in clocks:
        raise ValueError(f"{where}: a seizure ends without a file or an onset before it")
    registered, until = clocks.get("registered"), clocks.get("until")
    return ListedSeizure(file, registered, until, clocks["onset"], clocks["end"])


def _second_of_day(text: str, where: str) -> float:
    clocks = _CLOCK.findall(_SPACE_IN_NUMBER.sub("", text))
    if not clocks:
        raise ValueError(f"{where}: {text!r} is no time, must be like 19.58.36")
    electric = [clock for clock in clocks if "electr" in clock[3].lower()]
    hours, minutes, seconds, _ = (electric or clocks)[0]
    return float(int(hours) * 3600 + int(minutes) * 60 + int(seconds))


def match_file(listed: str, files: Sequence[str]) -> str | None:
    """Return which of a patient's files a list means, None if it is none of them.

    Parameters
    ----------
    listed
        As the list calls it.
    files
        Names of the patient's files, as ``"PN06-1.edf"``.
    """
    meant = _plain(listed)
    exact = [file for file in files if _plain(file) == meant]
    if exact:
        return exact[0]
    patient, _, number = meant.partition("-")
    alone = len(files) == 1 and not number and _plain(files[0]).startswith(patient)
    return files[0] if alone else None


def _plain(name: str) -> str:
    """Return a name in capitals, without a suffix or spaces, with zeros for the letter O."""
    bare = re.sub(r"\.edf$", "", name.strip(), flags=re.IGNORECASE)
    return re.sub(r"\s", "", bare).upper().replace("O", "0").removesuffix("-")
