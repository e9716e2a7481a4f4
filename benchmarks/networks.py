"""How much faster our networks are than textbook forms of the same mathematics, in plain torch.

    pip install "ranvier[bench]"
    python benchmarks/networks.py [NETWORK ...] [--alone | --lengths]

The textbook forms in ``benchmarks/reference`` give the same answers. Both forms take turns in one
process on one thread; given are the medians of the processor time, and the medians over the rounds
of the ratios of processor time and of wall time. Forwards run without gradients, at batch 1 (live)
and more. With ``--alone``, every network answers live, one hop after another, and learns from 32
windows at once, with nothing beside it. With ``--lengths``, ARNN's time for a window is shown
against the length of the window, beside networks with attention over all of it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from reference import arnn, attn_sleep, inception, rest, temporal_attention_lstm
from torch import Tensor, nn

from ranvier.authors import arnn as arnn_authors
from ranvier.authors import attn_sleep as attn_sleep_authors
from ranvier.channels import TEN_TWENTY
from ranvier.features import ScalePerStep
from ranvier.networks import make_network
from ranvier.networks.inception import Inception
from ranvier.networks.temporal_attention_lstm import TemporalAttentionLSTM
from ranvier.recording import Layout

Forms = dict[str, Callable[[], object]]
Case = tuple[str, Forms, int, int]
"""What is timed, the forms with the textbook first, rounds, and calls in a row."""


def training_step(
    network: nn.Module, answer: Callable[[], Tensor], *, fused: bool
) -> Callable[[], None]:
    adam = torch.optim.Adam([one for one in network.parameters() if one.requires_grad], fused=fused)

    def step() -> None:
        adam.zero_grad()
        (torch.sigmoid(answer()) - 0.5).square().mean().backward()
        adam.step()

    return step


def compared(theirs: nn.Module, ours: nn.Module, windows: Tensor, *, training: bool) -> Forms:
    """Return both forms on windows, (window, sample, channel), of which each makes its own form."""
    theirs.train(training)
    ours.train(training)
    given = windows.mT if isinstance(theirs, attn_sleep.AttnSleep) else windows
    textbook = lambda: theirs(given)  # noqa: E731
    if isinstance(theirs, inception.TextbookInception):
        textbook = lambda: theirs(given)[0]  # noqa: E731
    own = lambda: ours(windows, ours.initial_state(len(windows)))[0]  # noqa: E731
    if not training:
        with torch.inference_mode():
            off = (own().flatten() - textbook().flatten()).abs().max().item()
        assert off < 1e-3, f"the forms differ by {off}"
        return {"textbook": textbook, "ours": own}
    return {
        "textbook": training_step(theirs, textbook, fused=False),
        "ours": training_step(ours, own, fused=True),
    }


def cases_of(
    theirs: nn.Module, ours: nn.Module, window: tuple[int, int], *batches: int
) -> Iterator[Case]:
    for batch in batches:
        forms = compared(theirs, ours, torch.rand(batch, *window), training=False)
        yield f"forward, batch {batch}", forms, 21 if batch == 1 else 7, 10 if batch == 1 else 1
    forms = compared(theirs, ours, torch.rand(batches[-1], *window), training=True)
    yield f"training step, batch {batches[-1]}", forms, 5, 1


def rest_cases() -> Iterator[Case]:
    """REST on clips of 14 s; the textbook scales the spectra itself, here the stage before does."""
    for batch, training in ((1, False), (128, False), (128, True)):
        torch.manual_seed(0)
        theirs, graph = rest.REST().train(training), rest.random_graph()
        ours = rest.like(theirs, graph).train(training)
        spectra = 3 + 2 * torch.randn(batch, rest.STEPS, len(TEN_TWENTY), rest.FEATURES)
        clips = spectra.transpose(1, 2).contiguous()
        stage, edges = ScalePerStep(Layout(TEN_TWENTY, 1.0)), rest.edges_of(graph, batch)
        scale = partial(_scaled, stage, spectra)
        scaled, draw = scale(), torch.Generator().manual_seed(0) if training else None
        forms: Forms = {
            "textbook": partial(_mean, theirs, clips, edges),
            "ours": partial(_last, ours, lambda scaled=scaled: scaled, draw),
            "ours and the scaling": partial(_last, ours, scale, draw),
        }
        if training:
            networks = (theirs, ours, ours)
            forms = {
                name: training_step(network, form, fused=network is ours)  # type: ignore[arg-type]
                for (name, form), network in zip(forms.items(), networks, strict=True)
            }
        kind = "training step" if training else "clip of 14 s"
        yield f"{kind}, batch {batch}", forms, 21 if batch == 1 else 7, 20 if batch == 1 else 1


def _scaled(stage: ScalePerStep, spectra: Tensor) -> Tensor:
    return torch.as_tensor(stage.step(spectra.numpy(), ())[0])


def _mean(network: nn.Module, clips: Tensor, edges: tuple[Tensor, Tensor]) -> Tensor:
    return network(clips, *edges).mean(dim=1)


def _last(
    network: nn.Module, spectra: Callable[[], Tensor], draw: torch.Generator | None
) -> Tensor:
    given = spectra()
    return network(given, network.initial_state(len(given)), draw)[0][:, -1].mean(dim=1)


def arnn_cases() -> Iterator[Case]:
    theirs = arnn.ARNN()
    imported = arnn_authors.read(_plain(theirs), {"window": 1024})
    ours = make_network("arnn", imported.channels, imported.settings)
    ours.load_state_dict(imported.weights)
    yield from cases_of(theirs, ours, (1024, 23), 1, 32)


def attn_sleep_cases() -> Iterator[Case]:
    theirs = attn_sleep.AttnSleep()
    imported = attn_sleep_authors.read(_plain(theirs), {})
    ours = make_network("attn_sleep", imported.channels, imported.settings)
    ours.load_state_dict(imported.weights)
    yield from cases_of(theirs, ours, (3000, 1), 1, 64)


def inception_cases() -> Iterator[Case]:
    pooling = ("max", "average")
    ours = Inception(("1",), pooling=pooling, scale_windows=False).eval()
    yield from cases_of(inception.textbook_like(ours, pooling), ours, (1024, 1), 1, 64)


def temporal_attention_cases() -> Iterator[Case]:
    units = tuple(str(i) for i in range(192))
    ours = TemporalAttentionLSTM(units, classes=1).eval()
    yield from cases_of(temporal_attention_lstm.textbook_like(ours), ours, (20, 192), 1, 64)


CASES = {
    "REST": rest_cases,
    "ARNN": arnn_cases,
    "AttnSleep": attn_sleep_cases,
    "Inception": inception_cases,
    "temporal attention": temporal_attention_cases,
}


def _plain(network: nn.Module) -> dict[str, object]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def timed(
    forms: Forms, rounds: int, calls: int, *, training: bool
) -> list[tuple[str, float, float, float]]:
    """Return for each form its name, milliseconds, and the ratios of processor and wall time."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    with torch.inference_mode(mode=not training):
        for form in forms.values():
            form()
        for _ in range(rounds):
            for name, form in forms.items():
                began = time.process_time(), time.perf_counter()
                for _ in range(calls):
                    form()
                took[name].append((time.process_time() - began[0], time.perf_counter() - began[1]))
    first = next(iter(took.values()))
    return [
        (
            name,
            1e3 * median(cpu for cpu, _ in own) / calls,
            *(median(a[i] / b[i] for a, b in zip(first, own, strict=True)) for i in (0, 1)),
        )
        for name, own in took.items()
    ]


EEG, UNITS = 18, 96
GRAPH = len(TEN_TWENTY)
ALONE: dict[str, tuple[str, int, dict[str, object]]] = {
    "REST, carried": ("rest", GRAPH, {}),
    "REST, clips of 12 s": ("rest", GRAPH, {"memory": "clip", "clip": 12}),
    "Transformer": ("transformer", GRAPH, {}),
    "DCRNN": ("dcrnn", GRAPH, {}),
    "DCRNN, forward alone": ("dcrnn", GRAPH, {"directions": "forward"}),
    "CNN-LSTM": ("cnn_lstm", GRAPH, {}),
    "ARNN, windows": ("arnn", EEG, {}),
    "ARNN, carried": ("arnn", EEG, {"memory": "carry"}),
    "LSTM, windows": ("lstm", EEG, {"memory": "window"}),
    "LSTM, carried": ("lstm", EEG, {"memory": "carry"}),
    "ViT": ("vit", EEG, {}),
    "CCT": ("cct", EEG, {}),
    "R-Transformer": ("r_transformer", EEG, {}),
    "Inception, four units": ("inception", 1, {}),
    "Inception, two units": ("inception", 1, {"pooling": ("max",)}),
    "AttnSleep": ("attn_sleep", 1, {}),
    "temporal attention, 20 bins": ("temporal_attention_lstm", UNITS, {"classes": 2}),
    "temporal attention, 5 bins": ("temporal_attention_lstm", UNITS, {"classes": 2, "window": 5}),
    "GRU, windows": ("gru", UNITS, {"classes": 2, "memory": "window"}),
    "GRU, carried": ("gru", UNITS, {"classes": 2, "memory": "carry"}),
    "Wiener": ("wiener", UNITS, {"classes": 2}),
    "Kalman": ("kalman", UNITS, {"classes": 2}),
}
"""Network, channels and settings; the published sizes."""
STRETCHES = 32


def alone() -> None:
    """Print what an answer and a training step take, in processor time."""
    print("| network | channels | weights | one answer | a step on 32 windows |")
    print("|---" * 5 + "|")
    for name, (network, count, settings) in ALONE.items():
        torch.manual_seed(0)
        ours = make_network(network, named(count), settings)
        weights = sum(one.numel() for one in ours.parameters() if one.requires_grad)
        answer = f"{answering(ours.eval()):.2f} ms"
        steps = "solved" if hasattr(ours, "solve") else f"{learning(ours):.1f} ms"
        cells = name, f"{count}", f"{weights:,}", answer, steps
        print(f"| {' | '.join(cells)} |", flush=True)


def named(count: int) -> tuple[str, ...]:
    return TEN_TWENTY if count == GRAPH else tuple(str(i) for i in range(count))


def answering(network: nn.Module) -> float:
    """Return the milliseconds of a live answer."""
    tail = () if network.features is None else (network.features,)
    state = network.initial_state(1)
    began = torch.rand(1, network.window, len(network.channels), *tail)
    with torch.inference_mode():
        _, state = network.step(began, state)
        hop = torch.rand(1, network.hop, *began.shape[2:])
        form = lambda: network.step(hop, state)  # noqa: E731
        ((_, milliseconds, *_),) = timed({"ours": form}, 21, 5, training=False)
    return milliseconds


def learning(network: nn.Module) -> float:
    """Return the milliseconds of a training step on windows, or on what a carried one takes."""
    network.train()
    tail = () if network.features is None else (network.features,)
    windows = torch.rand(STRETCHES, network.window, len(network.channels), *tail)
    own = lambda: network(windows, network.initial_state(STRETCHES))[0]  # noqa: E731
    form = training_step(network, own, fused=True)
    ((_, milliseconds, *_),) = timed({"ours": form}, 5, 1, training=True)
    return milliseconds


LENGTHS = (512, 1024, 2048, 4096, 8192)


def lengths() -> None:
    """Print the milliseconds of a forward against the length of the window."""
    channels = tuple(str(i) for i in range(23))
    made = {
        "ARNN": ("arnn", {}),
        "R-Transformer": ("r_transformer", {}),
        "ViT, a token a sample": ("vit", {"patch": 1}),
    }
    print(f"| samples | {' | '.join(map(str, LENGTHS))} |")
    print("|---" * (len(LENGTHS) + 1) + "|")
    for name, (network, settings) in made.items():
        cells = []
        for length in LENGTHS:
            torch.manual_seed(0)
            ours = make_network(network, channels, {**settings, "window": length}).eval()
            windows = torch.rand(1, length, len(channels))
            form = lambda ours=ours, windows=windows: ours.step(windows, ours.initial_state(1))  # noqa: E731
            ((_, milliseconds, *_),) = timed({name: form}, 5, 1, training=False)
            cells.append(f"{milliseconds:.1f} ms")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main(names: list[str]) -> None:
    print(
        "| network | what | form | median | processor time | wall time |\n|---|---|---|---|---|---|"
    )
    for network in names or CASES:
        torch.manual_seed(0)
        for what, forms, rounds, calls in CASES[network]():
            training = what.startswith("training")
            for name, took, cpu, wall in timed(forms, rounds, calls, training=training):
                print(
                    f"| {network} | {what} | {name} | {took:.2f} ms | {cpu:.2f} x | {wall:.2f} x |",
                    flush=True,
                )


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "--lengths" in sys.argv:
        lengths()
    elif "--alone" in sys.argv:
        alone()
    else:
        main(sys.argv[1:])
