"""Work in threads that is heard of in order, and left when it is stopped or falls silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, Queue, SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from ranvier.download.asking import RefusedError

LONGEST_SILENCE = 900.0
"""Seconds without news after which all is given up."""
LEAVING = 2.0
"""Seconds that threads have to end; they are left where they wait for a server."""

T = TypeVar("T")


@dataclass(frozen=True)
class News(Generic[T]):
    """What is heard of one piece of work.

    Parameters
    ----------
    item
        Which.
    value
        What it told, or at its end gave back.
    is_end
        Whether it has ended.
    error
        Why it has no end that one would wish.
    """

    item: T
    value: Any = None
    is_end: bool = False
    error: Exception | None = None


class _LeftError(Exception):
    """Nobody listens any more."""


def side_by_side(
    work: Callable[[T, Callable[[Any], None]], Any],
    items: Sequence[T],
    *,
    threads: int,
    silence: float = LONGEST_SILENCE,
) -> Generator[News[T], None, None]:
    """Do all of the work, and give what is heard of it as it comes.

    Parameters
    ----------
    work
        Is given an item and a function by which it can tell something meanwhile.

    Raises
    ------
    RefusedError
        If nothing is heard for too long.
    """
    waiting: SimpleQueue[T] = SimpleQueue()
    for item in items:
        waiting.put(item)
    news: Queue[News[T]] = Queue()
    stop = Event()
    workers = [
        Thread(target=_work_off, args=(work, waiting, news, stop), daemon=True)
        for _ in range(min(threads, len(items)))
    ]
    for worker in workers:
        worker.start()
    try:
        yield from _heard(news, len(items), silence)
    finally:
        stop.set()
        until = time.monotonic() + LEAVING
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))


def _heard(news: Queue[News[T]], ends: int, silence: float) -> Iterator[News[T]]:
    last = time.monotonic()
    while ends:
        try:
            one = news.get(timeout=min(0.5, silence))
        except Empty:
            if time.monotonic() - last > silence:
                raise RefusedError(f"Nothing came for {silence:g} s") from None
            continue
        last = time.monotonic()
        ends -= one.is_end
        yield one


def _work_off(
    work: Callable[[T, Callable[[Any], None]], Any],
    waiting: SimpleQueue[T],
    news: Queue[News[T]],
    stop: Event,
) -> None:
    while not stop.is_set():
        try:
            item = waiting.get_nowait()
        except Empty:
            return

        def tell(value: Any, item: T = item) -> None:
            if stop.is_set():
                raise _LeftError
            news.put(News(item, value))

        try:
            news.put(News(item, work(item, tell), is_end=True))
        except _LeftError:
            return
        except Exception as error:
            news.put(News(item, is_end=True, error=error))
