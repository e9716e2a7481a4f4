"""``ranvier datasets``: which published data sets can be read, and where they are to be had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ranvier.commands import Answer

if TYPE_CHECKING:
    from ranvier.datasets.description import DataSet

COLUMNS = ("name", "task", "subjects", "hours", "GB", "access", "licence")
NUMBERS = {"subjects", "hours", "GB"}
NOT_KNOWN = "?"


def datasets(name: str = "") -> Answer:
    """List the published data sets that can be read, or say all about one of them.

    Parameters
    ----------
    name
        Of one data set, which is then described with what to cite; without it all are listed.
    """
    from ranvier.datasets import DATASETS, data_set

    if name:
        one = data_set(name)
        return Answer("\n".join(description(one)), plain(one))
    known = [data_set(each) for each in DATASETS]
    return Answer("\n".join(table([row_of(one) for one in known])), [plain(one) for one in known])


def row_of(data_set: DataSet) -> tuple[str, ...]:
    """Return the cells of a data set, in the order of ``COLUMNS``."""
    return (
        data_set.name,
        data_set.task,
        str(data_set.subjects),
        number(data_set.hours),
        number(data_set.gigabytes),
        data_set.terms or ("on request" if data_set.access else "open"),
        data_set.licence,
    )


def number(value: float) -> str:
    """Return a number in few digits, or that it is not known."""
    if math.isnan(value):
        return NOT_KNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows below ``COLUMNS`` as lines of text, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    sides = [str.rjust if name in NUMBERS else str.ljust for name in COLUMNS]
    return [
        "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True))
        .rstrip()
        for row in (COLUMNS, *rows)
    ]  # fmt: skip


def description(data_set: DataSet) -> list[str]:
    """Return all that is known of a data set as lines of text."""
    gigabytes = number(data_set.gigabytes)
    said = {
        "task": data_set.task,
        "subjects": str(data_set.subjects),
        "hours": f"about {number(data_set.hours)}" if data_set.hours > 0 else "not known",
        "size": f"about {gigabytes} GB" if data_set.gigabytes > 0 else "not known",
        "licence": data_set.licence,
        "access": data_set.access or "Anybody may download it.",
        "page": data_set.page,
        "cite": data_set.citation,
        "read": f"tried on {data_set.tested}",
    }
    if data_set.archive:
        said["archive"] = f"{data_set.archive.host}, {data_set.archive.record}"
    if command := data_set.command("FOLDER"):
        said["evaluate"] = command
    width = max(map(len, said))
    return [data_set.title, "", *(f"{name:{width}}  {text}" for name, text in said.items())]


def plain(data_set: DataSet) -> dict[str, Any]:
    """Return what is known of a data set in plain types, for JSON."""
    fields = {n: v for n, v in vars(data_set).items() if isinstance(v, str | int | float)}
    archive = asdict(data_set.archive) if data_set.archive else {}
    kept = {name: text for name, text in archive.items() if isinstance(text, str)}
    return {**fields, "archive": kept or None, "evaluate": data_set.command("FOLDER") or None}
