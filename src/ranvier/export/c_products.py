"""Products of matrices in C: tiles of rows and columns whose sums stay in registers.

Where the compiler knows vectors as types (gcc, clang), a tile is written with them, because loops
over an array of sums are kept in memory by most compilers; else it is plain loops.
"""

from __future__ import annotations

from typing import Literal

from ranvier.export.c_constants import STORED
from ranvier.export.c_part import Place

ROWS = {"vector": 10, "scalar": 4}
"""Most rows of a tile, with vectors and without."""

COLUMNS = {"columns_512": 16, "columns_256": 8}
"""Most columns of a tile, for registers of so many bits; 4 for all others."""


STARTS = {
    "matrix": {
        "start_from": "row * stride + c",
        "start_vector": "*(const {lanes} *)(start + row * stride)",
        "start_plain": "start[row * stride + c]",
    },
    "rows": {
        "start_from": "row * stride",
        "start_vector": "start[row * stride]",
        "start_plain": "start[row * stride]",
    },
}
"""How a product begins: with a number for each of its cells, or with one for each row."""


def padded(columns: int) -> int:
    """Return the columns that a matrix must have so that tiles fit."""
    return -(-columns // 4) * 4


def emit_product(
    place: Place,
    name: str,
    rows: int,
    columns: int,
    *,
    weights: str,
    start: Literal["matrix", "rows"] = "matrix",
    turned: bool = False,
) -> str:
    """Return the function ``<part>_<name>`` for products with as many rows and columns.

    Parameters
    ----------
    place
        Of the part that it belongs to.
    name
        Ends the name of the function.
    rows
        Rows of the product.
    columns
        Columns of the weights and the product; a multiple of 4.
    weights
        As for ``Storage``; all but float32 have a scale for each column.
    start
        A key of ``STARTS``.
    turned
        Whether what is multiplied with the weights has its rows as columns.
    """
    part, scaled = f"{place.part}_{name}", weights != "float32"
    given = {
        "part": part,
        "PART": part.upper(),
        "weight": STORED[weights],
        "columns": columns,
        "plain": f"weights[k * {columns} + c]",
        "vector": _vector(part, columns, weights),
        "scale_parameter": "const float *restrict scale," if scaled else "",
        "scale_argument": "scale + c," if scaled else "",
        "plain_scaled": " * scale[c]" if scaled else "",
        "vector_scaled": f" * *(const {part}_lanes *)scale" if scaled else "",
    }
    lanes = f"{part}_lanes"
    given |= {key: text.format(lanes=lanes) for key, text in STARTS[start].items()}
    given |= {
        "a_from": "row" if turned else "row * depth",
        "a_at": f"k * {rows} + row" if turned else "row * depth + k",
    }
    tiles = {
        tile: place.fill("multiply_tile", **given, tile=tile, rows=f"{part.upper()}_{size}")
        for tile, size in (("tile", "ROWS"), ("left", "LEFT"))
    }
    return place.fill("multiply", **given, **tiles, **_sizes(rows, columns), rows=rows)


def _vector(part: str, columns: int, weights: str) -> str:
    """Return the statement that takes a row of a tile's weights, as numbers that can be added."""
    row = f"(weights + k * {columns})"
    if weights == "float32":
        return f"const {part}_lanes now = *(const {part}_lanes *){row};"
    size = {"int16": 2, "int8": 1}[weights]
    kind = f"vector_size({size} * {part.upper()}_COLUMNS), aligned({size}), may_alias"
    return (
        f"typedef {STORED[weights]} whole __attribute__(({kind}));\n        "
        f"const {part}_lanes now = __builtin_convertvector(*(const whole *){row}, {part}_lanes);"
    )


def _sizes(rows: int, columns: int) -> dict[str, int]:
    """Return the rows of tiles, as few and as even as can be, and of the last one; and columns."""
    tiles = {kind: -(-rows // most) for kind, most in ROWS.items()}
    each = {kind: -(-rows // count) for kind, count in tiles.items()}
    return {
        **{f"rows_{kind}": count for kind, count in each.items()},
        **{f"left_{kind}": rows % count for kind, count in each.items()},
        **{
            kind: next(one for one in (16, 8, 4) if one <= most and columns % one == 0)
            for kind, most in COLUMNS.items()
        },
    }
