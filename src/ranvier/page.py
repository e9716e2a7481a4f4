"""Parts of a web page that needs nothing but itself, and how numbers are written on it.

Everything that is given is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan
from pathlib import Path

from ranvier.writing import replacing

UNKNOWN = "–"
Cell = str | tuple[str, str]
"""Text, or text with a smaller second line."""

STYLE = """
:root { --ink: #1f2328; --soft: #57606a; --line: #d5dae0; --page: #fbfbfa; --tint: #f0f2f4;
  --link: #0b5cad; --good: #1a6b3c; --bad: #a8321a; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #a5adb8; --line: #3a414a;
  --page: #16191d; --tint: #20252b; --link: #79b8ff; --good: #7fd6a0; --bad: #ff9b85; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 2rem 1.25rem 3rem; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.35rem, 4vw, 1.9rem); line-height: 1.3; font-weight: 650;
  margin: .25rem 0 1.5rem; text-wrap: balance; }
h2 { font-size: 1.15rem; font-weight: 650; margin: 2.4rem 0 .7rem; padding-top: .9rem;
  border-top: 1px solid var(--line); }
p { margin: .6rem 0; max-width: 46rem; }
ul { margin: .5rem 0; padding-left: 1.2rem; max-width: 52rem; }
.kind, small, figcaption, .soft { color: var(--soft); font-size: .875rem; }
.kind { margin: 0; }
.scroll { overflow-x: auto; overflow-wrap: normal; }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .8rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--soft); font-size: .8125rem; font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
tfoot th, tfoot td { font-weight: 650; border-bottom: 0; }
td small { display: block; font-size: .8125rem; }
td { white-space: nowrap; }
.words td { text-align: left; white-space: normal; }
.words th { color: var(--soft); white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: .8rem 0; flex: 1 1 20rem; max-width: 100%; min-width: 0; }
figure.wide { flex-basis: 100%; }
figure.half { max-width: 34rem; }
.beside { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: center; flex-basis: 100%; }
.beside .card { flex: 0 1 31rem; }
.beside figcaption { flex: 1 1 16rem; }
.dense { font-size: .875rem; }
.dense th, .dense td { padding: .35rem .45rem; }
.dense th:first-child { padding-left: 0; }
.dense thead th { font-size: .75rem; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .75rem;
  overflow-x: auto; }
.card svg { display: block; width: 100%; height: auto; min-width: 20rem; }
.wide .card svg { min-width: 42rem; }
figcaption { margin-top: .45rem; max-width: 46rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--link); }
pre { background: var(--tint); border-radius: 8px; padding: .9rem; overflow-x: auto;
  font-size: .8125rem; line-height: 1.45; }
.good, .bad { font-weight: 600; }
.good { color: var(--good); }
.bad { color: var(--bad); }
tfoot { display: table-row-group; }
@media print { :root { font-size: 11px; } body { background: #fff; }
  main { max-width: none; padding: 0; }
  .card { border: 0; padding: 0; } .card svg, .wide .card svg { min-width: 0; }
  .scroll, pre { overflow: visible; white-space: pre-wrap; } figure, tr { break-inside: avoid; }
  .scroll td { white-space: normal; } h2 { break-after: avoid; }
  th, td { padding: .25rem .45rem; } details::details-content { content-visibility: visible; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<p class="kind">{kind}</p>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def write_page(path: Path, title: str, kind: str, sections: Iterable[str]) -> Path:
    """Write a page of sections; it appears whole or not at all.

    Parameters
    ----------
    path
        Of the page; its folder is made where it is missing.
    title
        Its headline.
    kind
        What sort of page it is, in some words above the headline.
    sections
        As ``section`` makes them.
    """
    body = "\n".join(sections)
    page = PAGE.format(style=STYLE, title=escape(title), kind=escape(kind), body=body)
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def count(number: int, thing: str) -> str:
    """Say how many there are, such as "1 seizure" or "2 seizures"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def amount(value: float, thing: str) -> str:
    """Say how much there is, in two digits, such as "2.1 hours"."""
    return f"{rate(value)} {thing}{'' if rate(value) == '1' else 's'}"


def size(number: float) -> str:
    """Say how many bytes there are, such as "2.4 GB" or "31.0 MB"."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def share(value: float) -> str:
    """Write a share with three digits after the point."""
    return UNKNOWN if isnan(value) else f"{value:.3f}"


def rate(value: float) -> str:
    """Write a positive number with two digits or without fraction."""
    if isnan(value):
        return UNKNOWN
    return f"{value:,.0f}" if value >= 9.95 else f"{float(f'{value:.2g}'):g}"


def seconds(value: float) -> str:
    """Write seconds with one digit after the point."""
    return UNKNOWN if isnan(value) else f"{value:.1f} s".replace("-", "−")


def capital(text: str) -> str:
    """Make the first letter a capital."""
    return text[:1].upper() + text[1:]


def section(title: str, *parts: str) -> str:
    """Put parts under a heading."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, *, look: str = "") -> str:
    """Set a text; ``look`` is a class of ``STYLE``."""
    return f"<p{_look(look)}>{escape(text)}</p>"


def listing(items: Iterable[str]) -> str:
    """Set one line for each item."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def folded(summary: str, *parts: str) -> str:
    """Show parts only when they are asked for."""
    return f"<details><summary>{escape(summary)}</summary>\n" + "\n".join(parts) + "</details>"


def as_written(text: str) -> str:
    """Keep spaces and lines as they are."""
    return f'<pre tabindex="0">{escape(text)}</pre>'


def figure(svg: str, caption: str, *, look: str = "wide") -> str:
    """Put a drawing on a white card; ``svg`` is taken as it is."""
    return (
        f'<figure{_look(look)}><div class="card">{svg}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def side_by_side(*parts: str) -> str:
    """Set figures beside one another where there is room."""
    return '<div class="figures">' + "".join(parts) + "</div>"


def table(
    label: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    foot: Sequence[Cell] = (),
    look: str = "",
) -> str:
    """Set rows under a head; the first cell of a row names it.

    Parameters
    ----------
    label
        What the table holds, for those who do not see it.
    head
        Names of the columns; none for a list of words.
    rows, foot
        One cell for each column.
    look
        ``"words"`` when the cells are words and not numbers, ``"dense"`` for many columns.
    """
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    parts = (
        f"<thead><tr>{heads}</tr></thead>" if head else "",
        "<tbody>" + "\n".join(map(_row, rows)) + "</tbody>",
        f"<tfoot>{_row(foot)}</tfoot>" if foot else "",
    )
    opening = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">'
    return f"{opening}<table{_look(look)}>" + "".join(parts) + "</table></div>"


def _row(cells: Sequence[Cell]) -> str:
    name, *rest = cells
    return f'<tr><th scope="row">{_cell(name)}</th>{"".join(map(_data, rest))}</tr>'


def _data(cell: Cell) -> str:
    return f"<td>{_cell(cell)}</td>"


def _cell(cell: Cell) -> str:
    text, small = (cell, "") if isinstance(cell, str) else cell
    return f"<bdi>{escape(text)}</bdi>" + (f" <small>{escape(small)}</small>" if small else "")


def _look(name: str) -> str:
    return f' class="{escape(name)}"' if name else ""
