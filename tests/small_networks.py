"""One or more small forms of every network, for the tests that hold for all of them."""

from dataclasses import dataclass, field
from typing import Any

import torch

from ranvier.channels import DOUBLE_BANANA
from ranvier.networks import make_network
from ranvier.onnx_export import export
from ranvier.onnx_rewrites import lean
from ranvier.onnx_runtime import Graph, OnnxStage
from ranvier.recording import Layout
from ranvier.runtime import NetworkStage


@dataclass(frozen=True)
class Small:
    """A network made small, and how much signal its tests need.

    Parameters
    ----------
    network
        Its name in ``NETWORKS``.
    settings
        Keywords of the network.
    length
        Steps of signal: some windows, or some segments.
    channels, rate
        Of what comes in.
    """

    network: str
    settings: dict[str, Any] = field(default_factory=dict)
    length: int = 40
    channels: tuple[str, ...] = DOUBLE_BANANA
    rate: float = 1.0

    def make(self) -> NetworkStage:
        torch.manual_seed(0)
        network = make_network(self.network, self.channels, self.settings)
        return NetworkStage(Layout(self.channels, self.rate), network)

    def make_onnx(self) -> OnnxStage:
        content = export(self.make().network, self.network, self.channels, self.settings)
        return OnnxStage(Layout(self.channels, self.rate), Graph(lean(content)))


SMALL = {
    "REST carried": Small("rest", {"features": 8}),
    "REST sampled": Small("rest", {"features": 8, "update": "sampled", "repeats": (1, 3)}, 20),
    "REST clips": Small("rest", {"features": 8, "memory": "clip", "clip": 6}, 30),
    "CNN-LSTM": Small(
        "cnn_lstm", {"features": 8, "window": 5, "filters": 3, "dense": 8, "hidden": 6}, 30
    ),
    "DCRNN": Small("dcrnn", {"features": 8, "window": 5, "hidden": 6}, 30),
    "DCRNN with context": Small(
        "dcrnn",
        {"features": 8, "window": 4, "hop": 2, "hidden": 6, "directions": "forward", "context": 1},
        30,
    ),
    "Transformer": Small("transformer", {"features": 8, "window": 5, "hidden": 8, "heads": 2}, 30),
    "ARNN": Small(
        "arnn",
        {"window": 16, "hop": 8, "segment": 4, "hidden": 6, "heads": 2, "head_size": 4},
        60,
    ),
    "ARNN with context": Small(
        "arnn",
        {"window": 8, "segment": 8, "hidden": 4, "heads": 1, "head_size": 2, "context": 1},
        60,
    ),
    "ARNN carried": Small(
        "arnn",
        {"memory": "carry", "segment": 4, "hidden": 6, "heads": 2, "head_size": 4, "warm_up": 1},
        60,
    ),
    "AttnSleep": Small(
        "attn_sleep", {"window": 100, "hop": 50, "hidden": 8}, 400, DOUBLE_BANANA[:2], 100.0
    ),
    "AttnSleep corrected": Small(
        "attn_sleep",
        {
            "form": "shhs",
            "window": 125,
            "maps": 10,
            "attend": "time",
            "query": "normalised",
            "start": "independent",
            "context": 2,
        },
        500,
        DOUBLE_BANANA[:2],
        125.0,
    ),
    "Inception": Small(
        "inception", {"window": 256, "hop": 64}, 700, channels=DOUBLE_BANANA[:2], rate=250.0
    ),
    "Inception with context": Small(
        "inception",
        {"pooling": ("max",), "window": 128, "hop": 64, "upsample": 2, "classes": 1, "context": 1},
        700,
        channels=DOUBLE_BANANA[:2],
        rate=250.0,
    ),
    "LSTM carried": Small("lstm", {"memory": "carry", "segment": 8, "hidden": 6}, 60),
    "LSTM of two layers": Small(
        "lstm", {"memory": "carry", "segment": 8, "hidden": 6, "layers": 2, "warm_up": 1}, 60
    ),
    "LSTM": Small("lstm", {"window": 16, "hop": 8, "hidden": 6}, 60),
    "ViT": Small("vit", {"window": 16, "patch": 4, "hidden": 8, "heads": 2}, 60),
    "ViT of means": Small(
        "vit",
        {"window": 16, "hop": 4, "patch": 4, "hidden": 8, "heads": 2, "pool": "mean", "context": 1},
        60,
    ),
    "CCT": Small("cct", {"window": 16, "hop": 8, "filters": 4, "hidden": 8, "heads": 2}, 60),
    "R-Transformer": Small(
        "r_transformer", {"window": 16, "hop": 8, "hidden": 8, "heads": 2, "kernel": 3}, 60
    ),
    "Temporal attention": Small("temporal_attention_lstm", {"window": 6, "hidden": 6, "dense": 5}),
    "Temporal attention selected": Small(
        "temporal_attention_lstm",
        {"window": 4, "hop": 2, "hidden": 6, "attention": False, "context": 1},
    ),
    "Temporal attention of the paper": Small(
        "temporal_attention_lstm", {"window": 3, "hidden": 6, "score": "paper", "classes": 1}
    ),
    "GRU": Small("gru", {"window": 5, "hidden": 6}),
    "GRU carried": Small("gru", {"memory": "carry", "window": 3, "hidden": 6, "layers": 2}),
    "Wiener": Small("wiener"),
    "Wiener with little": Small("wiener", {"window": 6, "least": 2}),
    "Kalman": Small("kalman"),
    "Kalman with a lag": Small("kalman", {"lag": 2, "classes": 4}),
}
"""A new network gets a line here, and ``test_contract`` and ``test_networks`` run over it."""
