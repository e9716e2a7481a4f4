"""AttnSleep: two convolutional views of an epoch of sleep, and attention over them.

Eldele, Chen, Liu, Wu, Kwoh, Li and Guan, *An Attention-based Deep Learning Approach for Sleep Stage
Classification with Single-Channel EEG*, IEEE Trans. Neural Syst. Rehabil. Eng. 29, 2021; authors'
code github.com/emadeldeen24/AttnSleep at 02273f4. Equal to it with the defaults, but for the
initial weights, which are PyTorch's. Convolutions are written over (map, 1, time), which is faster,
and take up their BatchNorm at evaluation; query, key and value come from one convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.chance import Dropout
from ranvier.networks.sizes import check_divides, check_dropout, check_sizes
from ranvier.networks.windows import WindowNetwork

RECALIBRATED_FROM = 128
CAUSAL_WIDTH = 7


class BranchSizes(NamedTuple):
    """Widths and strides of a branch, in what comes into each layer."""

    filter: int
    stride: int
    padding: int
    pool: int
    width: int
    last_pool: int

    def steps(self, window: int) -> int:
        """Return how many steps a window becomes."""
        filtered = (window + 2 * self.padding - self.filter) // self.stride + 1
        grown = 2 * (1 - self.width % 2)
        return (filtered // 2 + 1 + grown) // self.last_pool + 1


class Form(NamedTuple):
    """What differs between the data sets of the paper."""

    window: int
    small: BranchSizes
    wide: BranchSizes

    @property
    def steps(self) -> int:
        """Steps that both branches make of a window."""
        return self.small.steps(self.window) + self.wide.steps(self.window)


FORMS = {
    "sleep_edf": Form(3000, BranchSizes(50, 6, 24, 8, 8, 4), BranchSizes(400, 50, 200, 4, 7, 2)),
    "shhs": Form(3750, BranchSizes(50, 6, 24, 8, 8, 4), BranchSizes(400, 50, 200, 4, 6, 2)),
}
"""30 seconds at 100 Hz and at 125 Hz."""


class NormedConvolution(nn.Module):
    """A convolution and its BatchNorm, which are one at evaluation; (batch, map, 1, time)."""

    def __init__(self, maps: int, outputs: int, width: int = 1, *, bias: bool = False) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(maps, outputs, (1, width), padding=(0, width // 2), bias=bias)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps, normed."""
        convolve, norm = self.convolve, self.norm
        if self.training:
            normed: Tensor = norm(convolve(maps))
            return normed
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        scale = norm.weight * (variance + norm.eps).rsqrt()
        offset = norm.bias - scale * (mean if convolve.bias is None else mean - convolve.bias)
        weight = convolve.weight * scale[:, None, None, None]
        return functional.conv2d(maps, weight, offset, padding=convolve.padding)


class Branch(nn.Module):
    """Filters of one width, then two convolutions over what they find.

    The first layer takes patches of the signal, one filter's width each, as if they were maps.
    """

    def __init__(self, sizes: BranchSizes, dropout: float) -> None:
        super().__init__()
        self.sizes = sizes
        self.filters = NormedConvolution(sizes.filter, 64)
        self.pool = nn.MaxPool2d((1, sizes.pool), (1, 2), (0, sizes.pool // 2))
        self.dropout = Dropout(dropout)
        self.first = NormedConvolution(64, RECALIBRATED_FROM, sizes.width)
        self.second = NormedConvolution(RECALIBRATED_FROM, RECALIBRATED_FROM, sizes.width)
        last = sizes.last_pool
        self.last_pool = nn.MaxPool2d((1, last), (1, last), (0, last // 2))

    def forward(self, signal: Tensor) -> Tensor:
        """Turn (batch, sample) into (batch, map, 1, step)."""
        padded = functional.pad(signal, (self.sizes.padding, self.sizes.padding))
        patches = padded.unfold(1, self.sizes.filter, self.sizes.stride)
        found = functional.gelu(self.filters(patches.contiguous().mT[:, :, None]))
        found = functional.gelu(self.first(self.dropout(self.pool(found))))
        pooled: Tensor = self.last_pool(functional.gelu(self.second(found)))
        return pooled


class Recalibration(nn.Module):
    """Fewer maps, each weighed by what all of them hold on average (squeeze and excitation)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.first = NormedConvolution(RECALIBRATED_FROM, maps, bias=True)
        self.second = NormedConvolution(maps, maps, bias=True)
        self.shortcut = NormedConvolution(RECALIBRATED_FROM, maps)
        self.squeeze = nn.Linear(maps, max(1, maps // 16), bias=False)
        self.excite = nn.Linear(max(1, maps // 16), maps, bias=False)

    def forward(self, joined: Tensor) -> Tensor:
        """Keep (batch, map, 1, step)."""
        inner = self.second(torch.relu(self.first(joined)))
        squeezed = torch.relu(self.squeeze(inner.mean(dim=(2, 3))))
        gates = torch.sigmoid(self.excite(squeezed))[:, :, None, None]
        return torch.relu(inner * gates + self.shortcut(joined))


class Views(nn.Module):
    """Two branches over the signal, one after the other in time, and their recalibration."""

    def __init__(self, form: Form, maps: int, dropout: float) -> None:
        super().__init__()
        self.small, self.wide = Branch(form.small, dropout), Branch(form.wide, dropout)
        self.dropout = Dropout(dropout)
        self.recalibrate = Recalibration(maps)

    def forward(self, signal: Tensor) -> Tensor:
        """Turn (batch, sample) into (batch, map, step)."""
        joined = torch.cat([self.small(signal), self.wide(signal)], dim=3)
        recalibrated: Tensor = self.recalibrate(self.dropout(joined))
        return recalibrated[:, :, 0]


class SampleNorm(nn.LayerNorm):
    """LayerNorm with the deviation of a sample, n - 1, as published."""

    def __init__(self, size: int) -> None:
        super().__init__(size, eps=1e-12)
        self.shrink = ((size - 1) / size) ** 0.5

    def forward(self, tokens: Tensor) -> Tensor:
        """Scale each token to mean 0 and deviation 1."""
        weight = self.weight * self.shrink
        return functional.layer_norm(tokens, self.normalized_shape, weight, self.bias, self.eps)


class Tokens(NamedTuple):
    """What attention is between, and its sizes; names as the keywords of ``AttnSleep``."""

    maps: int
    steps: int
    heads: int
    hidden: int
    dropout: float
    over_time: bool
    norm_query: bool

    @property
    def size(self) -> int:
        """Values of a token: a step has all maps, a map all steps."""
        return self.maps if self.over_time else self.steps


class EncoderLayer(nn.Module):
    """Attention between tokens made by causal convolutions, and a layer for each token."""

    def __init__(self, shape: Tokens) -> None:
        super().__init__()
        maps, size, hidden = shape.maps, shape.size, shape.hidden
        self.heads, self.over_time = shape.heads, shape.over_time
        self.mix = nn.Conv1d(maps, 3 * maps, CAUSAL_WIDTH)
        self.query_norm = SampleNorm(size) if shape.norm_query else nn.Identity()
        self.join = nn.Linear(size, size)
        self.norm = SampleNorm(size)
        self.widen, self.narrow = nn.Linear(size, hidden), nn.Linear(hidden, size)
        self.dropout = Dropout(shape.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Keep (batch, token, size)."""
        maps = tokens.mT if self.over_time else tokens
        mixed = self.mix(functional.pad(maps, (CAUSAL_WIDTH - 1, 0)))
        query, key, value = (
            third.mT if self.over_time else third for third in torch.chunk(mixed, 3, dim=1)
        )
        tokens = query + self.dropout(self._attend(self.query_norm(query), key, value))
        hidden = self.dropout(torch.relu(self.widen(self.norm(tokens))))
        fed: Tensor = tokens + self.dropout(self.narrow(hidden))
        return fed

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, tokens, size = query.shape
        split = (batch, tokens, self.heads, size // self.heads)
        query, key, value = (part.reshape(split).transpose(1, 2) for part in (query, key, value))
        scores = query * split[-1] ** -0.5 @ key.mT
        found = self.dropout(torch.softmax(scores, dim=-1)) @ value
        joined: Tensor = self.join(found.transpose(1, 2).reshape(batch, tokens, size))
        return joined


class Encoder(nn.Module):
    """Layers of attention and a norm."""

    def __init__(self, shape: Tokens, layers: int, *, clones: bool) -> None:
        super().__init__()
        self.over_time = shape.over_time
        self.layers = nn.Sequential(*(EncoderLayer(shape) for _ in range(layers)))
        self.norm = SampleNorm(shape.size)
        if clones:
            self._make_clones()

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (batch, map, step) into tokens in a row, (batch, embedding)."""
        tokens = self.layers(maps.mT if self.over_time else maps)
        return torch.flatten(self.norm(tokens), 1)

    def _make_clones(self) -> None:
        """Give values' convolutions the keys' weights, and every layer those of the first."""
        first = self.layers[0].state_dict()
        for name in ("mix.weight", "mix.bias"):
            query, key, _ = torch.chunk(first[name], 3)
            first[name] = torch.cat([query, key, key])
        for layer in self.layers:
            layer.load_state_dict(first)


class AttnSleep(WindowNetwork):
    """Stage of sleep from one epoch of one derivation; 522,805 weights for Sleep-EDF.

    Each channel is staged by itself, with the same weights. Faults of the published form, kept
    unless an option below says otherwise:

    - the tokens of its "temporal" attention are the 30 maps, not the steps in time: ``attend``;
    - the query goes into attention without the norm that was made for it: ``query``;
    - layers, and keys and values, are copies of each other before training: ``start``;
    - wide filters follow the small ones on one axis of time, so causal convolutions see the end of
      the epoch before the start of the wide part: causal between epochs, not inside one;
    - the norm divides by the deviation with n - 1, 0.6 % less than LayerNorm, which weights absorb;
    - microvolts come in as they are, so a wrong unit or gain gives wrong stages in silence: scale
      the signal in a stage before;
    - the published class for SHHS cannot be made (it calls the constructor of another class), and
      the published scores are those of the pass that was best on the test subjects.

    Parameters
    ----------
    channels
        Derivations, in µV.
    form
        ``"sleep_edf"`` for 3000 samples at 100 Hz, ``"shhs"`` for 3750 at 125 Hz.
    window
        Samples of an epoch, where they differ from those of the form.
    hop
        Samples from one answer to the next, by default the window; 500 answers each 5 s.
    classes
        Outputs, by default W, N1, N2, N3, R.
    context
        Epochs before this one that a one-way GRU looks back on; 0 as published.
    maps, layers, heads, hidden
        Maps after recalibration, layers and heads of attention, width of its feed-forward part.
    dropout, attention_dropout
        Before attention, and within its layers.
    attend
        Between which tokens: ``"maps"``, or ``"time"``, the steps with all maps each.
    query
        ``"raw"``, or ``"normalised"`` before attention.
    start
        ``"clones"``, or ``"independent"`` initial weights.

    Raises
    ------
    ValueError
        If an option is out of its range, or heads do not divide a token.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        form: Literal["sleep_edf", "shhs"] = "sleep_edf",
        window: int | None = None,
        hop: int | None = None,
        classes: int = 5,
        context: int = 0,
        maps: int = 30,
        layers: int = 2,
        heads: int = 5,
        hidden: int = 120,
        dropout: float = 0.5,
        attention_dropout: float = 0.1,
        attend: Literal["maps", "time"] = "maps",
        query: Literal["raw", "normalised"] = "raw",
        start: Literal["clones", "independent"] = "clones",
    ) -> None:
        _check_options(form=form, attend=attend, query=query, start=start)
        sizes = FORMS[form] if window is None else FORMS[form]._replace(window=window)
        check_sizes(2, window=sizes.window, maps=maps)
        check_sizes(layers=layers, heads=heads, hidden=hidden)
        check_dropout(dropout)
        check_dropout(attention_dropout, "attention_dropout")
        over_time, norm_query = attend == "time", query == "normalised"
        shape = Tokens(maps, sizes.steps, heads, hidden, attention_dropout, over_time, norm_query)
        check_divides("heads", heads, shape.size)
        super().__init__(
            channels,
            window=sizes.window,
            hop=hop,
            embedding=maps * sizes.steps,
            classes=classes,
            per_channel=True,
            context=context,
        )
        self.views = Views(sizes, maps, dropout)
        self.encoder = Encoder(shape, layers, clones=start == "clones")
        self.unused = _unused(shape, layers)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the encoded tokens in a row, (window, embedding)."""
        embedded: Tensor = self.encoder(self.feature_maps(windows))
        return embedded

    def feature_maps(self, windows: Tensor) -> Tensor:
        """Return what goes into attention, (window, map, step), the small filters' steps first."""
        maps: Tensor = self.views(windows[:, :, 0])
        return maps


def _check_options(**options: str) -> None:
    allowed = {
        "form": list(FORMS),
        "attend": ["maps", "time"],
        "query": ["raw", "normalised"],
        "start": ["clones", "independent"],
    }
    for name, given in options.items():
        if given not in allowed[name]:
            raise ValueError(f"Invalid {name}: {given!r}, possible options: {allowed[name]}")


def _unused(shape: Tokens, layers: int) -> nn.ModuleDict:
    """Make what checkpoints hold and nothing uses: a query's second convolution, and its norm."""
    unused = nn.ModuleDict()
    for layer in range(layers):
        unused[f"query_{layer}"] = nn.Conv1d(shape.maps, shape.maps, CAUSAL_WIDTH)
        if not shape.norm_query:
            unused[f"norm_{layer}"] = SampleNorm(shape.size)
    return unused.requires_grad_(requires_grad=False)
