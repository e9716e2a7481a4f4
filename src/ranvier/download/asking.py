"""Asking a server politely: few attempts with growing waits, and limits to all that it may answer.

Ranges and redirects by RFC 9110, sections 14 and 15.4.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from importlib.metadata import version
from typing import TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

import numpy as np

BLOCK = 1 << 16
MOST_TEXT = 32 << 20
"""Bytes that a list of files may have."""
MOST_REDIRECTS = 5
SLOWEST = 1000
"""Bytes per second that must come on average over ``Manners.watch``."""
GAIN = 1 << 20
"""Bytes that an attempt must bring to count as none."""
REDIRECTS = {301, 302, 303, 307, 308}
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers after which the same is asked again."""

T = TypeVar("T")


class RefusedError(ValueError):
    """What was asked for cannot be had, in one sentence."""


class MissingError(RefusedError):
    """A server says that it does not have or give one thing; others may be there."""


class DroppedError(Exception):
    """What was asked for did not come this time.

    Parameters
    ----------
    reason
        A sentence without its end.
    wait
        Seconds the server asked to wait.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Manners:
    """How often and how patiently servers are asked.

    Parameters
    ----------
    generator
        Spreads the waits, so that many who were cut off do not come back at once.
    attempts
        Until a thing is given up; those that bring a mebibyte more of a file do not count.
    timeout
        Seconds without a byte after which an attempt is given up.
    first_wait, longest_wait
        Seconds before the second attempt, twice that before the third, and so on to the longest;
        each is cut by up to half at random.
    longest_asked
        Seconds that a server may ask to wait.
    watch
        Seconds over which a body must not be slower than ``SLOWEST``.
    sleep
        Waits.
    """

    generator: np.random.Generator
    attempts: int = 6
    timeout: float = 30.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 300.0
    watch: float = 60.0
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)

    def wait(self, failures: int, asked: float) -> None:
        """Wait after a number of failures in a row, at least as long as the server asked."""
        usual = min(self.longest_wait, self.first_wait * 2.0 ** (failures - 1))
        self.sleep(max(asked, usual * (1 - self.generator.random() / 2)))


def patiently(
    work: Callable[[], T], manners: Manners, *, gained: Callable[[], bool] = lambda: False
) -> T:
    """Do something until it is not dropped.

    Parameters
    ----------
    gained
        Whether a dropped attempt brought enough to count as none.

    Raises
    ------
    RefusedError
        If it was dropped too often, or the server asks to wait for too long.
    """
    failures = 0
    while True:
        try:
            return work()
        except DroppedError as dropped:
            failures = 1 if gained() else failures + 1
            if failures >= manners.attempts:
                raise RefusedError(f"{dropped}, {failures} times in a row") from None
            if dropped.wait > manners.longest_asked:
                raise RefusedError(
                    f"{dropped}, and asks to wait for {dropped.wait:.0f} s"
                ) from None
            manners.wait(failures, dropped.wait)


def opened(
    url: str, manners: Manners, *, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> HTTPResponse:
    """Ask once, follow redirects, and return an answer whose body was not read.

    Returns
    -------
    HTTPResponse
        With a status below 300, or 416; the caller closes it.

    Raises
    ------
    MissingError
        If the server says no for good.
    RefusedError
        If the address, or one that it redirects to, is not one of the web.
    DroppedError
        If there is no answer, or one that asks to come again.
    """
    here = url
    for _ in range(MOST_REDIRECTS + 1):
        answer = _ask_once(here, manners, headers or {}, method)
        if answer.status not in REDIRECTS:
            return _judged(answer, here)
        with answer:
            here = _redirected(here, answer.headers.get("Location", ""))
    raise RefusedError(f"{url} redirects more than {MOST_REDIRECTS} times")


def _redirected(here: str, there: str) -> str:
    """Return where a redirect leads, which must not be less safe than where it stood."""
    try:
        target = urljoin(here, there)
        scheme = urlsplit(target).scheme
    except ValueError:
        scheme = ""
    if scheme not in {"https", urlsplit(here).scheme}:
        raise RefusedError(f"{here} redirects to {there!r}, must be a page of https")
    return target


@cache
def _opener() -> OpenerDirector:
    """Return what opens pages, and neither files nor redirects nor answers that say no."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    return opener


def _ask_once(url: str, manners: Manners, headers: Mapping[str, str], method: str) -> HTTPResponse:
    named = {"User-Agent": f"ranvier/{version('ranvier')}", **headers}
    try:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise RefusedError(f"Invalid address: {url!r}, must begin with https://")
        request = Request(url, headers=named, method=method)
        answer: HTTPResponse = _opener().open(request, timeout=manners.timeout)
    except RefusedError:
        raise
    except (OSError, HTTPException) as error:
        raise DroppedError(f"{_host(url)} does not answer ({_reason(error)})") from None
    except ValueError:
        raise RefusedError(f"Invalid address: {url!r}") from None
    return answer


def _judged(answer: HTTPResponse, url: str) -> HTTPResponse:
    status = answer.status
    if 200 <= status < 300 or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return answer
    answer.close()
    known = {int(one): one.phrase for one in HTTPStatus}
    said = f"{_host(url)} answers {' '.join([str(status), known.get(status, '')]).strip()}"
    if status in PASSING:
        raise DroppedError(f"{said} for {url}", _asked_wait(answer.headers.get("Retry-After", "")))
    raise MissingError(f"{said} for {url}")


def _asked_wait(told: str) -> float:
    """Return the seconds that a server asks to wait, given as such or as a date; 0 for neither."""
    if re.fullmatch(r"[0-9]{1,9}", told.strip()):
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _reason(error: Exception) -> str:
    """Say what went wrong, without what a server may have written itself."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, OSError):
        return str(cause.strerror or type(cause).__name__)
    return type(cause).__name__


def blocks(answer: HTTPResponse, most: int, manners: Manners) -> Iterator[bytes]:
    """Read a body as it comes, and not a byte more than is wanted of it.

    Raises
    ------
    DroppedError
        If the connection breaks or comes to a crawl.
    """
    since, came = time.monotonic(), 0
    while most > 0 and (block := _read(answer, min(most, BLOCK))):
        most -= len(block)
        came += len(block)
        if (lasted := time.monotonic() - since) > manners.watch:
            if came < SLOWEST * lasted:
                raise DroppedError(f"The connection fell below {SLOWEST / 1000:g} kB/s")
            since, came = time.monotonic(), 0
        yield block


def _read(answer: HTTPResponse, most: int) -> bytes:
    try:
        return answer.read1(most)
    except (OSError, HTTPException, ValueError) as error:
        raise DroppedError(f"The connection broke ({_reason(error)})") from None


def text_of(url: str, manners: Manners) -> str:
    """Return a text of an archive.

    Raises
    ------
    RefusedError
        If it cannot be had, is too long, or is not UTF-8.
    """
    text = patiently(lambda: _whole(url, manners), manners)
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedError(f"{url} is not UTF-8 text") from None


def _whole(url: str, manners: Manners) -> bytes:
    with opened(url, manners) as answer:
        promised = answer.length
        most = MOST_TEXT + 1 if promised is None else min(promised, MOST_TEXT + 1)
        text = b"".join(blocks(answer, most, manners))
    if len(text) > MOST_TEXT:
        raise RefusedError(f"{url} has more than {MOST_TEXT >> 20} MiB, which no list of files has")
    if promised is not None and len(text) < promised:
        raise DroppedError(f"{url} broke off after {len(text)} of {promised} bytes")
    return text
