"""What makes and what takes the values of an ONNX graph, and how its nodes are exchanged."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ranvier.recording import Array


class Links:
    """Which node makes a value, which take it, and which values are constant.

    Parameters
    ----------
    model
        An ``onnx`` model. What is put into it later is not known here.
    """

    def __init__(self, model: Any) -> None:
        self.made = {name: node for node in model.graph.node for name in node.output}
        self.constants = {one.name: one for one in model.graph.initializer}
        self.takers: dict[str, list[Any]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.takers[name].append(node)

    def above(self, name: str, *operators: str) -> list[Any]:
        """Return the nodes on the way up from a value, first inputs alone, if they are these."""
        found: list[Any] = []
        for operator in operators:
            node = self.made.get(found[-1].input[0] if found else name)
            if node is None or node.op_type != operator:
                return []
            found.append(node)
        return found

    def below(self, node: Any, *operators: str) -> list[Any]:
        """Return the nodes on the way down, each the only one that takes the last, if they are."""
        found = [node]
        for operator in operators:
            takers = self.takers[found[-1].output[0]]
            if len(takers) != 1 or takers[0].op_type != operator:
                return []
            found.append(takers[0])
        return found

    def array(self, name: str) -> Any:
        """Return a constant; None if it is none."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


def settings_of(node: Any) -> dict[str, Any]:
    """Return the attributes of a node."""
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def add_constant(model: Any, name: str, values: Any) -> str:
    """Put a constant into a model, unless it is there, and return its name."""
    from onnx import numpy_helper

    if all(one.name != name for one in model.graph.initializer):
        made: Array = np.asarray(values, order="C")
        model.graph.initializer.append(numpy_helper.from_array(made, name))
    return name


def exchange(model: Any, node: Any, *others: Any) -> None:
    """Put other nodes in the place of one."""
    place = list(model.graph.node).index(node)
    model.graph.node.remove(node)
    for offset, other in enumerate(others):
        model.graph.node.insert(place + offset, other)


def swept(model: Any) -> Any:
    """Leave out nodes and constants that lead to no output, and sets of operators not used."""
    needed = {one.name for one in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [one for one in model.graph.initializer if one.name in needed]
    for field, parts in (("node", kept[::-1]), ("initializer", constants)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(parts)
    model.graph.ClearField("value_info")
    domains = {"", *(node.domain for node in kept)}
    sets = [one for one in model.opset_import if one.domain in domains]
    model.ClearField("opset_import")
    model.opset_import.extend(sets)
    return model
