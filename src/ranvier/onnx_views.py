"""Fewer nodes that only say in which shape values are looked at.

With the shapes of all values known, a row of such nodes becomes one, and what is done value by
value is done in the shape from before them, so that they move down and meet others.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from ranvier.onnx_nodes import Links, add_constant, exchange, settings_of, swept

Shape = tuple[int, ...]

VIEWS = frozenset(
    ("Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze",
     "Transpose", "Unsqueeze")
)  # fmt: skip
"""Operators that leave values as they are and in their order, if they leave out or repeat none."""

BY_VALUE = frozenset(
    ("Abs", "Add", "And", "Cast", "Clip", "Div", "Erf", "Exp", "IsNaN", "Max", "Min", "Mul", "Neg",
     "Not", "Or", "Pow", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh", "Where")
)  # fmt: skip
"""Operators that give one value for each value."""


def without_sequences(model: Any) -> Any:
    """Take parts out of a value itself, rather than out of a sequence of all its parts."""
    links, shapes = Links(model), shapes_of(model)
    for made in [one for one in model.graph.node if one.op_type == "SplitToSequence"]:
        takers = links.takers[made.output[0]]
        given = [links.array(one.input[1]) for one in takers if one.op_type == "SequenceAt"]
        sizes = _sizes_of_parts(links, shapes, made)
        if len(given) < len(takers) or not sizes or any(place is None for place in given):
            continue
        places = [int(place) % len(sizes) for place in given]
        if sorted(places) == list(range(len(sizes))) and _keeps_axis(made):
            _split_at_once(model, made, dict(zip(places, takers, strict=True)), sizes)
            continue
        for place, taker in zip(places, takers, strict=True):
            _take_part(model, made, taker, range(sum(sizes[:place]), sum(sizes[: place + 1])))
    return swept(model)


def _sizes_of_parts(links: Links, shapes: Mapping[str, Shape], made: Any) -> list[int]:
    """Return how long the parts of a sequence are; nothing if that is not known."""
    given = [name for name in made.input[1:] if name]
    sizes = links.array(given[0]) if given else np.array(1)
    if sizes is None or sizes.ndim:
        return [] if sizes is None else [int(size) for size in sizes]
    if made.input[0] not in shapes:
        return []
    whole, size = shapes[made.input[0]][settings_of(made).get("axis", 0)], int(sizes)
    return [min(size, whole - first) for first in range(0, whole, size)]


def _keeps_axis(made: Any) -> bool:
    return len(made.input) > 1 or bool(settings_of(made).get("keepdims", 1))


def _split_at_once(model: Any, made: Any, parts: Mapping[int, Any], sizes: list[int]) -> None:
    from onnx import helper

    said = add_constant(model, f"list_{'_'.join(map(str, sizes))}", np.array(sizes))
    names = [parts[place].output[0] for place in range(len(sizes))]
    axis = settings_of(made).get("axis", 0)
    exchange(model, made, helper.make_node("Split", [made.input[0], said], names, axis=axis))
    for taker in parts.values():
        exchange(model, taker)


def _take_part(model: Any, made: Any, taker: Any, places: range) -> None:
    """Write what takes one part of a sequence as a node that takes it of the whole value."""
    from onnx import helper

    axis = settings_of(made).get("axis", 0)
    if _keeps_axis(made):
        bounds = (
            add_constant(model, f"list_{n}", np.array([n]))
            for n in (places.start, places.stop, axis)
        )
        part = helper.make_node("Slice", [made.input[0], *bounds], taker.output)
    else:
        where = add_constant(model, f"number_{places.start}", np.array(places.start))
        part = helper.make_node("Gather", [made.input[0], where], taker.output, axis=axis)
    taker.CopyFrom(part)


def with_fewer_views(model: Any, known: Mapping[str, Shape] | None = None) -> Any:
    """Return an equal model in which shapes are said anew as seldom as is easy.

    Parameters
    ----------
    model
        An ``onnx`` model; only values whose shape is known are looked at.
    known
        Shapes of values by name, beside those that are found in the model.
    """
    merged = _Merging(model, {**(known or {}), **shapes_of(model)})
    for node in list(model.graph.node):
        merged.take(node)
    model.graph.ClearField("node")
    model.graph.node.extend(merged.nodes)
    return swept(model)


class _Merging:
    """The nodes of a model, taken one after the other.

    ``source`` has, for each value that is another one in a new shape, which that is.
    """

    def __init__(self, model: Any, shapes: dict[str, Shape]) -> None:
        self.model, self.links, self.shapes = model, Links(model), shapes
        self.source: dict[str, str] = {}
        self.nodes: list[Any] = []

    def take(self, node: Any) -> None:
        """Append a node, or what does the same."""
        viewed = self._viewed(node)
        if viewed:
            self._append_view(self.source.get(viewed, viewed), node.output[0])
        elif sources := self._sources(node):
            self._append_flat(node, sources)
        else:
            for place, name in enumerate(node.input):
                if self._stands_for(name, node):
                    node.input[place] = self.source[name]
            self.nodes.append(node)

    def _stands_for(self, name: str, node: Any) -> bool:
        """Return whether a node may take a value as it was before it was shaped anew."""
        source = self.source.get(name, "")
        if not source or self.shapes[source] == self.shapes[name]:
            return bool(source)
        before, after = self.shapes[source], self.shapes[name]
        others = [len(self.shapes.get(other, ())) for other in node.input if other != name]
        spread = len(before) <= len(after) <= max(others, default=0)
        return node.op_type in BY_VALUE and spread and _trimmed(before) == _trimmed(after)

    def _viewed(self, node: Any) -> str:
        """Return the value that a node gives in a new shape; empty if it does anything else."""
        given = list(node.input[:1])
        if node.op_type == "Concat":
            given = [name for name in node.input if self.shapes.get(name, (1,)).count(0) == 0]
        if len(given) != 1 or not {given[0], node.output[0]} <= set(self.shapes):
            return ""
        before, after = self.shapes[given[0]], self.shapes[node.output[0]]
        kept = node.op_type in VIEWS and prod(before) == prod(after) and self._in_order(node)
        return given[0] if kept else ""

    def _in_order(self, node: Any) -> bool:
        """Return whether values that a node moves, if any, are still in their order."""
        if node.op_type == "Slice":
            steps = self.links.array(node.input[4]) if len(node.input) > 4 else np.array(1)
            return steps is not None and bool((steps > 0).all())
        if node.op_type == "Gather":
            places = self.links.array(node.input[1])
            return places is not None and bool((places.ravel() == np.arange(places.size)).all())
        if node.op_type != "Transpose":
            return True
        shape, moved = self.shapes[node.input[0]], settings_of(node)["perm"]
        long = [axis for axis in moved if shape[axis] > 1]
        return long == sorted(long)

    def _append_view(self, source: str, name: str) -> None:
        from onnx import helper

        self.source[name] = source
        shape = np.array(self.shapes[name], np.int64)
        said = add_constant(self.model, f"shape_{'_'.join(map(str, shape))}", shape)
        self.nodes.append(helper.make_node("Reshape", [source, said], [name], f"{name}_view"))

    def _sources(self, node: Any) -> list[str]:
        """Return what a node may take instead, all of one other shape; empty if it may not."""
        shape = self.shapes.get(node.output[0])
        if node.op_type not in BY_VALUE or shape is None:
            return []
        sources = [self.source.get(name, name) for name in node.input]
        long = {self.shapes.get(name) for name in sources if not self._single(name)}
        common = long.pop() if len(long) == 1 else None
        fits = common is not None and common != shape and prod(common) == prod(shape)
        return sources if fits else []

    def _single(self, name: str) -> bool:
        return not name or (name in self.links.constants and prod(self.shapes[name]) == 1)

    def _append_flat(self, node: Any, sources: list[str]) -> None:
        """Append a node that takes these, and its output in the shape that it had."""
        name = node.output[0]
        flat = f"{name}_flat"
        self.shapes[flat] = next(self.shapes[one] for one in sources if not self._single(one))
        node.output[0] = flat
        for place, one in enumerate(sources):
            node.input[place] = self._number(one) if one and self._single(one) else one
        self.nodes.append(node)
        self._append_view(flat, name)

    def _number(self, name: str) -> str:
        """Return a constant without any axis."""
        if not self.shapes[name]:
            return name
        number = self.links.array(name).reshape(())
        return add_constant(self.model, f"{name}_number", number)


def _trimmed(shape: Shape) -> Shape:
    """Return a shape without the ones that it begins with."""
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


def shapes_of(model: Any) -> dict[str, Shape]:
    """Return the shapes of all values of which they are known."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {one.name: tuple(one.dims) for one in graph.initializer}
    for one in (*graph.input, *graph.value_info, *graph.output):
        sizes = one.type.tensor_type.shape.dim
        known = one.type.tensor_type.HasField("shape")
        if known and all(size.HasField("dim_value") for size in sizes):
            found[one.name] = tuple(size.dim_value for size in sizes)
    return found
