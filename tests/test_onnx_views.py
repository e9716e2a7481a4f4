"""Graphs that say less often in which shape values are looked at, and the same values."""

import numpy as np
import pytest

from ranvier.onnx_views import with_fewer_views, without_sequences

onnx = pytest.importorskip("onnx")
helper = onnx.helper

VALUES = np.random.default_rng(0).normal(0, 1, (1, 6, 4)).astype(np.float32)


def model_of(*nodes, out, **constants):
    """A model from x, (1, 6, 4), to y."""
    ports = [helper.make_tensor_value_info(*one) for one in (("x", 1, (1, 6, 4)), ("y", 1, out))]
    arrays = [onnx.numpy_helper.from_array(np.array(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def node(operator, given, made, **settings):
    return helper.make_node(operator, given.split(), made.split(), **settings)


def answer(model):
    import onnxruntime

    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": VALUES})[0]


def operators(model):
    return [one.op_type for one in model.graph.node]


def rewritten(rewrite, model):
    """The operators of a model after a rewrite, which must not change its answer."""
    expected, made = answer(model), rewrite(model)
    np.testing.assert_array_equal(answer(made), expected)
    return operators(made)


def test_a_row_of_views_is_one():
    nodes = (
        node("Transpose", "x", "a", perm=[1, 0, 2]),
        node("Squeeze", "a axis", "b"),
        node("Reshape", "b shape", "y"),
    )
    model = model_of(*nodes, out=(4, 6), axis=[1], shape=[4, 6])
    assert rewritten(with_fewer_views, model) == ["Reshape"]


def test_what_is_done_by_value_is_done_before_it_is_viewed():
    nodes = (
        node("Reshape", "x flat", "a"),
        node("Mul", "a two", "b"),
        node("Reshape", "b back", "c"),
        node("Softmax", "c", "y", axis=-1),
    )
    constants = {"flat": [6, 4], "back": [1, 6, 4], "two": np.float32([[2]])}
    model = model_of(*nodes, out=(1, 6, 4), **constants)
    assert rewritten(with_fewer_views, model) == ["Mul", "Softmax"]


def test_axes_that_are_spread_anyway_are_not_added():
    nodes = (
        node("ReduceSum", "x axis", "a", keepdims=0),
        node("Reshape", "a shape", "b"),
        node("Add", "x b", "y"),
    )
    model = model_of(*nodes, out=(1, 6, 4), axis=[0, 1], shape=[1, 1, 4])
    assert rewritten(with_fewer_views, model) == ["ReduceSum", "Add"]


@pytest.mark.parametrize(
    "turning",
    [
        node("Transpose", "x", "y", perm=[0, 2, 1]),
        node("Slice", "x last before axis step", "y"),
        node("Gather", "x places", "y", axis=1),
    ],
)
def test_what_changes_the_order_stays(turning):
    constants = {"last": [-1], "before": [-99], "axis": [1], "step": [-1]}
    out = (1, 4, 6) if turning.op_type == "Transpose" else (1, 6, 4)
    model = model_of(turning, out=out, places=[1, 0, 3, 2, 5, 4], **constants)
    assert rewritten(with_fewer_views, model) == [turning.op_type]


@pytest.mark.parametrize(
    ("split", "place", "out", "expected"),
    [
        (node("SplitToSequence", "x", "s", axis=1, keepdims=0), 2, (1, 4), "Gather"),
        (node("SplitToSequence", "x", "s", axis=1, keepdims=1), 2, (1, 1, 4), "Slice"),
        (node("SplitToSequence", "x size", "s", axis=1), 1, (1, 3, 4), "Slice"),
        (node("SplitToSequence", "x sizes", "s", axis=1), 1, (1, 4, 4), "Slice"),
        (node("SplitToSequence", "x sizes", "s", axis=1), -1, (1, 4, 4), "Slice"),
    ],
)
def test_a_part_is_taken_out_of_the_whole(split, place, out, expected):
    nodes = split, node("SequenceAt", "s place", "y")
    model = model_of(*nodes, out=out, place=place, size=3, sizes=[2, 4])
    assert rewritten(without_sequences, model) == [expected]


def test_parts_of_which_all_are_taken_are_split_at_once():
    split = node("SplitToSequence", "x size", "s", axis=1)
    takers = (node("SequenceAt", f"s at_{place}", f"p_{place}") for place in range(2))
    model = model_of(
        split, *takers, node("Sub", "p_0 p_1", "y"), out=(1, 3, 4), size=3, at_0=0, at_1=1
    )
    assert rewritten(without_sequences, model) == ["Split", "Sub"]
