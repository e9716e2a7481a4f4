"""A network's step with weights of eight bits, which ONNX Runtime computes in whole numbers.

Static quantisation also holds what goes into a layer in eight bits, in a range that was seen on
recordings beforehand. Dynamic quantisation finds that range anew for each call; it is for networks
whose time goes into fetching weights, such as an LSTM.

Such a graph takes one window of one row. A range that is found anew would else depend on what
stands beside a window, and so would what is rounded up or down: file and stream could not agree.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.onnx_rewrites import clip_before_gelu, nodes_of, simplified, with_gelu
from ranvier.onnx_runtime import Graph, metadata
from ranvier.onnx_views import shapes_of, with_fewer_views
from ranvier.recording import Array
from ranvier.streaming import State

Fed = Mapping[str, Array]
"""What goes into a graph in one call, by name."""


WARNING, FATAL = 2, 4
"""What ONNX Runtime says of itself: by default, and next to nothing."""


@dataclass(frozen=True)
class Method:
    """A way to quantise.

    Parameters
    ----------
    operators
        What is turned into whole numbers; the others keep their precision.
    become
        Names of what that is afterwards.
    calibrated
        Whether ranges are found beforehand, for which something must be seen.
    """

    operators: tuple[str, ...]
    become: frozenset[str]
    calibrated: bool


METHODS: Mapping[str, Method] = {
    "static": Method(("Conv", "Gemm"), frozenset({"QLinearConv", "QGemm"}), calibrated=True),
    "dynamic": Method(
        ("LSTM", "MatMul"), frozenset({"DynamicQuantizeLSTM", "MatMulInteger"}), calibrated=False
    ),
}


class Listening(Graph):
    """A graph, window by window, that keeps what goes into it at some of its calls.

    A network that remembers nothing answers at those alone, and zeros at the others.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``.
    every
        From one call that is kept to the next.
    """

    def __init__(self, content: bytes, every: int = 1) -> None:
        super().__init__(content)
        self.every, self.calls = every, 0
        self.kept: list[Fed] = []

    def run(self, chunk: Array, memory: State) -> tuple[Array, State]:
        """Answer as the graph does."""
        wanted = self.calls % self.every == 0 and not np.isnan(chunk).all()
        self.calls += 1
        if wanted:
            self.kept.append(dict(zip(self.inputs, (chunk, *memory), strict=True)))
        if wanted or self.memory:
            return super().run(chunk, memory)
        classes = self.session.get_outputs()[0].shape[-1]
        return np.zeros((1, 1, len(self.facts.sites), classes), np.float32), memory


def quantised(
    content: bytes, method: str, seen: Sequence[Fed] = (), *, parts: Sequence[str] = ()
) -> bytes:
    """Return the step with weights of eight bits, a model that ``onnx_runtime.Graph`` opens.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``.
    method
        A key of ``METHODS``.
    seen
        For static quantisation, what went into the graph on recordings.
    parts
        Beginnings of the names of the weights that are quantised; empty for all.

    Raises
    ------
    ValueError
        If the method is unknown or not possible for the network, nothing was seen that it needs, a
        part is unknown, or the graph has nothing that it could turn into whole numbers.
    """
    import onnx

    if method not in METHODS:
        raise ValueError(f"Invalid method: {method!r}, possible options: {list(METHODS)}")
    if METHODS[method].calibrated and not seen:
        raise ValueError("Nothing to calibrate on: no window of the recordings is valid")
    names = sorted(nodes_of(content, parts)) if parts else None
    if names == []:
        raise ValueError(f"Invalid parts: no layer has weights of {', '.join(parts)}")
    model = _converted(content, method, seen, names)
    if not {node.op_type for node in model.graph.node} & METHODS[method].become:
        raise ValueError(
            f"Invalid method: {method!r} finds nothing to quantise, it needs one of "
            f"{', '.join(METHODS[method].operators)}"
        )
    given = Graph(content)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata(given.facts, given.memory))
    made = bytes(model.SerializeToString(deterministic=True))
    _try_once(made, method)
    return made


def _converted(content: bytes, method: str, seen: Sequence[Fed], names: list[str] | None) -> Any:
    import onnx

    model, operators = simplified(content), list(METHODS[method].operators)
    known = shapes_of(model)  # of what becomes whole numbers they cannot be found anymore
    options = {"op_types_to_quantize": operators, "nodes_to_quantize": names}
    with _quietly(), tempfile.TemporaryDirectory(prefix="ranvier-") as folder:
        path = Path(folder) / "int8.onnx"
        try:
            WAYS[method](model, path, seen, options)
            return with_gelu(with_fewer_views(onnx.load(path), known))
        except Exception as error:  # ONNX Runtime says not which kinds there are
            raise _refused(method) from error


def _try_once(content: bytes, method: str) -> None:
    """Refuse a graph that ONNX Runtime opens and cannot run."""
    graph = Graph(content)
    shape = graph.session.get_inputs()[0].shape
    try:
        graph.run(np.zeros(shape, np.float32), graph.memory)
    except Exception as error:  # see above
        raise _refused(method) from error


def _refused(method: str) -> ValueError:
    return ValueError(
        f"Invalid method: {method!r} is not possible for this network with its settings, "
        "docs/int8.md tells for which it is"
    )


def _static(model: Any, path: Path, seen: Sequence[Fed], options: Mapping[str, Any]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    names = options["nodes_to_quantize"]
    clips = clip_before_gelu(model, names)
    quantize_static(
        model,
        path,
        _reader(seen),
        quant_format=QuantFormat.QOperator,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=[*options["op_types_to_quantize"], "Clip"],
        nodes_to_quantize=None if names is None else [*names, *clips],
    )


def _dynamic(model: Any, path: Path, seen: Sequence[Fed], options: Mapping[str, Any]) -> None:  # noqa: ARG001
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, path, weight_type=QuantType.QUInt8, **options)


WAYS = {"static": _static, "dynamic": _dynamic}


def _reader(seen: Sequence[Fed]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(seen)

        def get_next(self) -> Fed | None:
            return next(self.left, None)

    return Reader()


@contextmanager
def _quietly() -> Iterator[None]:
    """Say nothing of steps that were done in another way, nor of operators that have no shape."""
    import onnxruntime

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(FATAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        onnxruntime.set_default_logger_severity(WARNING)
