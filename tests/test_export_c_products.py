"""Tiles of products in C stay in registers and cover the whole product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.export.c_products import REGISTERS, padded, shape

each_kind = pytest.mark.parametrize("registers", REGISTERS.values(), ids=list(REGISTERS))


@each_kind
@given(rows=st.integers(1, 80), columns=st.integers(1, 200).map(padded))
def test_a_tile_fits_the_registers_and_the_product(registers, rows, columns):
    tile = shape(rows, columns, registers)
    assert tile["rows"] * tile["vectors"] + tile["vectors"] <= registers.count
    assert columns % (tile["lanes"] * tile["vectors"]) == 0
    assert tile["lanes"] <= registers.lanes
    assert tile["left"] == rows % tile["rows"] < tile["rows"] <= rows


def test_sums_of_one_row_are_kept_beside_each_other():
    assert shape(1, 160, REGISTERS["512"])["vectors"] == 10


def test_tiles_are_as_even_as_can_be():
    assert shape(10, 64, REGISTERS["512"])["rows"] == 5
