"""Forms of each network that ``deploy.py`` lets take turns: equal weights, equal answers."""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import networks
import numpy as np
import torch
from networks import _plain
from reference import arnn, attn_sleep, inception, rest, temporal_attention_lstm
from torch import Tensor, nn
from torch.nn import functional

import ranvier as rv
from ranvier.authors import arnn as arnn_authors
from ranvier.authors import attn_sleep as attn_sleep_authors
from ranvier.bench.machine import operations_of
from ranvier.channels import TEN_TWENTY
from ranvier.networks import make_network
from ranvier.networks.inception import Inception
from ranvier.networks.temporal_attention_lstm import TemporalAttentionLSTM
from ranvier.onnx_export import OPSET, export
from ranvier.onnx_rewrites import lean
from ranvier.onnx_runtime import Graph, _open

Form = Callable[[], Any]
FIRST = "textbook"


@dataclass(frozen=True)
class Case:
    """Forms of the same thing: ``textbook`` first, then those of ``COLUMNS``; calls in a row.

    ``learning`` forms are steps of training, whose operations are not counted.
    """

    name: str
    forms: Mapping[str, Form]
    calls: int
    operations: float
    blocks: Mapping[str, int] = field(default_factory=dict)
    learning: bool = False


METHODS = {"attn_sleep": "static", "temporal_attention_lstm": "dynamic"}


class FromSpectra(nn.Module):
    """REST from spectra that are not scaled, as the textbook takes them, to the mean of a clip."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        unbiased = torch.full((rest.FEATURES,), (1 - 1 / rest.FEATURES) ** 0.5)
        self.register_buffer("unbiased", unbiased)

    def forward(self, spectra: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scaled = functional.layer_norm(spectra, self.unbiased.shape, self.unbiased, eps=1e-12)
        state = self.network.initial_state(1)
        if memory is not None:
            state = state._replace(memory=memory, age=state.age + 9)
        logits, after = self.network.step(scaled, state)
        return logits[:, -1].mean(dim=1), after.memory


def textbook_step(
    theirs: rest.REST, spectra: Tensor, state: Tensor, edges: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Update the state as a step of the textbook's loop does, but for the first."""
    scaled = (spectra - spectra.mean(-1, keepdim=True)) / (spectra.std(-1, keepdim=True) + 1e-10)
    state = theirs.l1(scaled) + theirs.l2(state)
    change = theirs.gc2(torch.relu(theirs.gc1(state, *edges)), *edges)
    state = state + change * (torch.rand_like(change) <= 1.0)
    return theirs.fc(state).mean(), state


def in_onnx(module: nn.Module, given: tuple[Tensor, ...]) -> Form:
    """Return a module in ONNX Runtime, in the form that decoders carry."""
    exported = torch.export.export(module.eval(), given)
    program = torch.onnx.export(
        exported, dynamo=True, optimize=False, verbose=False, opset_version=OPSET
    )
    session = _open(lean(program.model_proto.SerializeToString()))
    names, arrays = [one.name for one in session.get_inputs()], [one.numpy() for one in given]
    return lambda: session.run(None, dict(zip(names, arrays, strict=True)))[0]


def rest_cases() -> Iterator[Case]:
    theirs, graph = rest.REST().eval(), rest.random_graph()
    edges = rest.edges_of(graph, 1)
    spectra = 3 + 2 * torch.randn(1, rest.STEPS, len(TEN_TWENTY), rest.FEATURES)
    clips = spectra.transpose(1, 2).contiguous()
    ours = rest.like(theirs, graph).eval()
    settings = {"normalise": "none", "bound": float("inf"), "update": "always"}
    carried = make_network("rest", TEN_TWENTY, {**settings, "adjacency": graph.numpy()}).eval()
    carried.load_state_dict(ours.state_dict())
    memory = torch.randn(1, len(TEN_TWENTY), 32)
    second = spectra[:, :1].contiguous()
    yield _rest_case(
        "REST step",
        lambda: textbook_step(theirs, second[0, 0], memory[0], edges)[0],
        (FromSpectra(carried), (second, memory)),
        c_forms(theirs, graph, "carry", spectra),
        50,
    )
    yield _rest_case(
        "REST clip of 14 s",
        lambda: theirs(clips, *edges, fire_rate=1.0).mean(),
        (FromSpectra(ours), (spectra,)),
        c_forms(theirs, graph, "clip", spectra),
        10,
    )


def _rest_case(
    name: str,
    textbook: Form,
    ours: tuple[nn.Module, tuple[Tensor, ...]],
    in_c: dict[str, tuple[Form, int]],
    calls: int,
) -> Case:
    module, given = ours
    forms: dict[str, Form] = {FIRST: textbook, "ours in torch": lambda: module(*given)[0]}
    forms["ORT"] = in_onnx(module, given)
    steps = given[0].shape[1]
    operations = steps * 2 * 19 * 32 * (100 + 32 + 4 * 32 + 2 * 19)
    agree(name, forms, 1e-4)
    blocks = {form: count for form, (_, count) in in_c.items()}
    forms |= {form: call for form, (call, _) in in_c.items()}
    return Case(name, forms, calls, operations, blocks)


def c_forms(
    theirs: rest.REST, graph: Tensor, memory: str, spectra: Tensor
) -> dict[str, tuple[Form, int]]:
    """Return REST in C, which takes scaled spectra; nothing without a compiler."""
    try:
        from c_export import VECTORS, c_form, textbook_decoder

        scaled = spectra - spectra.mean(-1, keepdim=True)
        features = np.ascontiguousarray((scaled / spectra.std(-1, keepdim=True))[0].numpy())
        with torch.inference_mode():
            edges = rest.edges_of(graph, 1)
            clips = spectra.transpose(1, 2)
            wanted = theirs(clips, *edges, fire_rate=1.0).mean().item()
        decoder = textbook_decoder(theirs, graph, memory)
        steps, calls = (1, 5000) if memory == "carry" else (rest.STEPS, 200)
        return {"C": c_form(decoder, VECTORS, features, wanted, steps, calls)}
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"no C: {error}", file=sys.stderr)
        return {}


def window_case(  # noqa: PLR0917
    name: str, network: str, textbook: Form, ours: nn.Module, windows: Tensor, calls: int = 5
) -> Case:
    """Return all forms of a network that looks at windows, (window, sample, channel)."""
    channels = tuple(ours.channels)
    content = export(ours, network, channels, ours.made_with)
    rows, state = windows.numpy(), ours.initial_state(len(windows))
    forms: dict[str, Form] = {
        FIRST: textbook,
        "ours in torch": lambda: ours.step(windows, state)[0],
        "ORT": by_rows(Graph(lean(content)), rows),
    }
    decoder = rv.Decoder("seizure", (), channels, 1.0, network, ours.made_with, {})
    forms |= window_in_c(network, ours, rows)
    agree(name, forms, 1e-3)
    if small := int8(network, content, rows):
        forms["INT8"] = by_rows(Graph(small), rows)
    return Case(name, forms, calls, len(rows) * (operations_of(decoder) or 0))


def window_in_c(network: str, ours: nn.Module, rows: np.ndarray) -> dict[str, Form]:
    """Return ARNN in C, for one window; nothing without a compiler."""
    if network != "arnn":
        return {}
    from c_export import VECTORS
    from c_export_samples import samples_in_c

    channels = tuple(f"E{number}" for number in range(len(ours.channels)))
    weights = {name: value.numpy() for name, value in ours.state_dict().items()}
    decoder = rv.Decoder("seizure", (), channels, 256.0, network, ours.made_with, weights)
    try:
        form = samples_in_c(network, decoder, VECTORS, rows[0], channels=channels)
    except (OSError, ValueError) as error:
        print(f"no C: {error}", file=sys.stderr)
        return {}
    return {"C": form}


def by_rows(graph: Graph, rows: np.ndarray) -> Form:
    each = [rows[i : i + 1] for i in range(len(rows))]
    return lambda: np.concatenate([graph.run(one, graph.memory)[0] for one in each])


def int8(network: str, content: bytes, rows: np.ndarray) -> bytes | None:
    """Return the graph in whole numbers, where the package can, fit to the range of the rows."""
    try:
        from ranvier.onnx_int8 import quantised
    except ImportError:
        return None
    if network not in METHODS:
        return None
    name = Graph(content).inputs[0]
    return quantised(
        content, METHODS[network], [{name: rows[i : i + 1]} for i in range(8)][: len(rows)]
    )


def agree(name: str, forms: Mapping[str, Form], tolerance: float) -> None:
    """Stop where a form answers otherwise than the textbook."""
    with torch.inference_mode():
        answers = {form: np.asarray(call()).ravel() for form, call in forms.items()}
    for form, found in answers.items():
        off = np.abs(found - answers[FIRST]).max()
        assert off < tolerance, f"{name}, {form}: the forms differ by {off}"


def made(network: str, channels: tuple[str, ...], settings: Mapping[str, Any], weights: Any) -> Any:
    """Return a network with these weights that knows its settings."""
    ours = make_network(network, channels, settings).eval()
    if weights:
        ours.load_state_dict(weights)
    ours.made_with = dict(settings)
    return ours


def arnn_cases() -> Iterator[Case]:
    theirs = arnn.ARNN().eval()
    found = arnn_authors.read(_plain(theirs), {"window": 1024})
    ours = made("arnn", found.channels, found.settings, found.weights)
    windows = torch.rand(1, 1024, 23)
    yield window_case("ARNN window of 1024", "arnn", lambda: theirs(windows), ours, windows)


def attn_sleep_cases() -> Iterator[Case]:
    theirs = attn_sleep.AttnSleep().eval()
    found = attn_sleep_authors.read(_plain(theirs), {})
    ours = made("attn_sleep", found.channels, found.settings, found.weights)
    for name, batch, calls in (("AttnSleep epoch", 1, 5), ("AttnSleep 128 epochs", 128, 1)):
        epochs = 20 * torch.randn(batch, 3000, 1)
        textbook = partial(theirs, epochs.mT.contiguous())
        yield window_case(name, "attn_sleep", textbook, ours, epochs, calls)


def inception_cases() -> Iterator[Case]:
    settings = {"pooling": ["max"], "scale_windows": False}
    ours = made("inception", ("1",), settings, None)
    assert isinstance(ours, Inception)
    theirs = inception.textbook_like(ours, ("max",))
    windows = torch.rand(1, 1024, 1)
    textbook = lambda: theirs(windows, heads=False)[0]  # noqa: E731
    yield window_case("Inception window", "inception", textbook, ours, windows, 10)


def temporal_attention_cases() -> Iterator[Case]:
    units = tuple(str(i) for i in range(192))
    ours = made("temporal_attention_lstm", units, {"classes": 1}, None)
    assert isinstance(ours, TemporalAttentionLSTM)
    theirs = temporal_attention_lstm.textbook_like(ours)
    windows = torch.rand(1, 20, 192)
    name = "temporal attention, 20 bins"
    yield window_case(name, "temporal_attention_lstm", partial(theirs, windows), ours, windows)


def rest_training_cases() -> Iterator[Case]:
    yield from training_cases("REST")


def attn_sleep_training_cases() -> Iterator[Case]:
    yield from training_cases("AttnSleep")


def training_cases(network: str) -> Iterator[Case]:
    """Take the steps of training as ``networks.py`` has them."""
    for what, forms, _, calls in networks.CASES[network]():
        if what.startswith("training"):
            taken = {FIRST: forms["textbook"], "ours in torch": forms["ours"]}
            yield Case(f"{network} {what}", taken, calls, 0.0, learning=True)


CASES = (
    rest_cases, arnn_cases, attn_sleep_cases, inception_cases, temporal_attention_cases,
    rest_training_cases, attn_sleep_training_cases,
)  # fmt: skip

AUTHORS: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, int], tuple[int, ...]]] = {
    "AttnSleep epoch": ("AttnSleep/model/model.py", ("AttnSleep", "Transformer"), {}, (1, 1, 3000)),
    "AttnSleep 128 epochs": (
        "AttnSleep/model/model.py", ("AttnSleep", "Transformer"), {}, (128, 1, 3000),
    ),
    "ARNN window of 1024": (
        "ARNN/CHB_MIT/model.py",
        ("Attentive_RNN",),
        {"d_dim": 23, "embed_dim": 40, "seq_len": 1024, "dim_head": 10, "heads": 4,
         "num_state_vectors": 64, "time_steps": 16, "num_class": 1},
        (1, 1024, 23),
    ),
}  # fmt: skip
"""Where the authors' network is in a clone, its class, its options, and a window."""


def authors_form(name: str, folder: str) -> dict[str, Form]:
    """Return the authors' own network with random weights, where its file is there and runs."""
    if not folder or name not in AUTHORS:
        return {}
    file, classes, options, shape = AUTHORS[name]
    path = Path(folder) / file
    if not path.is_file():
        return {}
    sys.path.insert(0, str(path.parent))
    about = importlib.util.spec_from_file_location(f"authors_{path.parts[-3]}", path)
    assert about
    assert about.loader
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    found = next(getattr(module, one) for one in classes if hasattr(module, one))
    return {"authors": partial(found(**options).eval(), torch.rand(shape))}
