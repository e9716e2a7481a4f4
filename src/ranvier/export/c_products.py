"""Products of matrices in C: tiles of rows and columns whose sums stay in registers.

Where the compiler knows vectors as types (gcc, clang), a tile is written with them, because loops
over an array of sums are kept in memory by most compilers; else a vector is one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ranvier.export.c_constants import STORED
from ranvier.export.c_part import Place


@dataclass(frozen=True)
class Registers:
    """What a processor computes with: numbers in a register, and registers that a tile may use."""

    lanes: int
    count: int


REGISTERS = {
    "512": Registers(16, 31),
    "256": Registers(8, 15),
    "128": Registers(4, 15),
    "plain": Registers(1, 21),
}
"""With vectors of so many bits, and without; one number more is multiplied with them."""

STARTS = {
    "matrix": {"start_from": "row * stride + c", "start_at": "row * stride + v * {lanes}"},
    "rows": {"start_from": "row * stride", "start_at": "row * stride"},
}
"""How a product begins: with a number for each of its cells, or with one for each row."""

Shape = dict[str, int]


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
    at = STARTS[start]["start_at"].format(lanes=f"{part.upper()}_LANES")
    given = {
        "part": part,
        "PART": part.upper(),
        "weight": STORED[weights],
        "columns": columns,
        "taken": _taken(part, weights),
        "scale_parameter": "const float *restrict scale," if scaled else "",
        "scale_argument": "scale + c," if scaled else "",
        "scaled": f" * *(const {part}_lanes *)(scale + v * {part.upper()}_LANES)" if scaled else "",
        "start_from": STARTS[start]["start_from"],
        "start": f"start[{at}]" if start == "rows" else f"*(const {part}_lanes *)(start + {at})",
        "a_from": "row" if turned else "row * depth",
        "a_at": f"k * {rows} + row" if turned else "row * depth + k",
    }
    tiles = {
        tile: place.fill("multiply_tile", **given, tile=tile, rows=f"{part.upper()}_{size}")
        for tile, size in (("tile", "ROWS"), ("left", "LEFT"))
    }
    shapes = {
        f"{key}_{bits}": value
        for bits, registers in REGISTERS.items()
        for key, value in shape(rows, columns, registers).items()
    }
    return place.fill("multiply", **given, **tiles, **shapes, rows=rows)


def _taken(part: str, weights: str) -> str:
    """Return what takes weights as lanes: first of vectors, then of single numbers."""
    if weights == "float32":
        return f"#define {part.upper()}_TAKEN(from) (*(const {part}_lanes *)(from))"
    size = {"int16": 2, "int8": 1}[weights]
    kind = f"vector_size({size} * {part.upper()}_LANES), aligned({size}), may_alias"
    return (
        f"typedef {STORED[weights]} {part}_whole __attribute__(({kind}));\n"
        f"#define {part.upper()}_TAKEN(from) \\\n"
        f"    __builtin_convertvector(*(const {part}_whole *)(from), {part}_lanes)"
    )


def shape(rows: int, columns: int, registers: Registers) -> Shape:
    """Return the tile that loads the least: lanes, vectors, rows, and the rows that are left."""
    lanes = next(one for one in (16, 8, 4, 1) if one <= registers.lanes and columns % one == 0)
    count = columns // lanes
    return min(
        (
            _tiled(rows, count, lanes, vectors, registers.count)
            for vectors in range(1, count + 1)
            if count % vectors == 0 and 2 * vectors < registers.count
        ),
        key=lambda one: one["loads"],
    )


def _tiled(rows: int, count: int, lanes: int, vectors: int, registers: int) -> Shape:
    """Return a tile of so many vectors; each step loads them, and a number for each row."""
    tiles = -(-rows // min(rows, (registers - vectors) // vectors))
    each = -(-rows // tiles)
    return {
        "lanes": lanes,
        "vectors": vectors,
        "rows": each,
        "left": rows % each,
        "loads": count // vectors * (rows + tiles * vectors),
    }
