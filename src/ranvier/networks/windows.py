"""Networks that look at one window of the signal at a time, and a head that remembers the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranvier.networks.readout import LEAST_VALID, Factor, rescale
from ranvier.networks.sizes import check_whole

AT_ONCE = 32
"""Windows that are looked at together when nothing is learnt, so that they stay in the cache."""


class WindowState(NamedTuple):
    """The samples that are still needed, and what is remembered of windows before."""

    samples: Tensor
    """(batch, sample, channel) or (batch, step, node, feature)."""
    past: Tensor
    """Embeddings of earlier windows, (batch, output, site, embedding)."""
    known: Tensor
    """Which of them were valid, (batch, output, site)."""


class PastWindows(nn.Module):
    """A one-way GRU over the embeddings of the last windows, which corrects what a window says.

    Parameters
    ----------
    embedding
        Size of a window's embedding.
    windows
        How many earlier windows it looks back on.
    stride
        Outputs from one of them to the next.
    classes
        Values that a window gives by itself.
    hidden
        Size of its state.
    """

    def __init__(
        self, embedding: int, windows: int, stride: int, classes: int, hidden: int = 32
    ) -> None:
        super().__init__()
        self.windows, self.stride, self.hidden = windows, stride, hidden
        self.alone = nn.Linear(embedding, classes)
        self.project = nn.Linear(embedding, hidden)
        self.cell = nn.GRUCell(hidden, hidden)

    def initial(self, batch: int, sites: int) -> tuple[Tensor, Tensor]:
        """Return what is remembered before the first window: nothing."""
        kept = self.windows * self.stride
        past = self.project.weight.new_zeros(batch, kept, sites, self.hidden)
        return past, torch.zeros_like(past[..., 0], dtype=torch.bool)

    def forward(
        self, embedded: Tensor, valid: Tensor, past: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Set beside what each window says what came before it; what is not valid is left out.

        Parameters
        ----------
        embedded, valid
            (batch, output, site, embedding) and (batch, output, site).
        past, known
            As in ``WindowState``.

        Returns
        -------
        tuple of Tensor
            What each window says by itself with ``hidden`` more values, and the new past and known.
        """
        outputs = embedded.shape[1]
        past = torch.cat([past, torch.relu(self.project(embedded))], dim=1)
        known = torch.cat([known, valid], dim=1)
        memory = past.new_zeros(embedded.shape[:3].numel(), self.hidden)
        for window in range(self.windows + 1):
            span = slice(window * self.stride, window * self.stride + outputs)
            updated = self.cell(past[:, span].reshape(-1, self.hidden), memory)
            memory = torch.where(known[:, span].reshape(-1, 1), updated, memory)
        memory = memory.view(*embedded.shape[:3], -1)
        together = torch.cat([self.alone(embedded), memory], dim=-1)
        return together, past[:, outputs:], known[:, outputs:]


class WindowNetwork(nn.Module):
    """A network that answers for each window of samples or steps on its own.

    A subclass builds its layers and writes ``embed``; it may write ``embed_for_training`` where
    training needs more than the embedding.

    Parameters
    ----------
    channels
        Channels or nodes that come in.
    window, hop
        Samples or steps that are looked at, and from one window to the next; the hop may be
        shorter than the window, and does not change the weights.
    embedding
        Size of what ``embed`` gives.
    classes
        Outputs of the readout.
    features
        Features of each step and node; None for plain samples.
    per_channel
        Whether each channel is looked at by itself, with the same weights.
    context
        Earlier windows that a one-way GRU looks back on; 0 for none, as published.
    least
        Newest samples of a window that must be there, where channels are looked at together; what
        lies before them, or before a gap among the others, counts as zeros. None for the whole
        window.

    Raises
    ------
    ValueError
        If one of these is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int,
        hop: int | None,
        embedding: int,
        classes: int,
        features: int | None = None,
        per_channel: bool = False,
        context: int = 0,
        least: int | None = None,
    ) -> None:
        super().__init__()
        hop = window if hop is None else hop
        least = window if least is None else least
        check_whole(window=window, hop=hop, least=least, context=context)
        if per_channel and least < window:
            raise ValueError(f"Invalid least: {least}, must be None where channels are apart")
        if not (0 < hop <= window and 0 < least <= window and context >= 0):
            raise ValueError(
                f"Invalid window, hop, least or context: {window}, {hop}, {least} and {context}, "
                "hop and least must be from 1 to the window and the context at least 0"
            )
        self.channels, self.features, self.per_channel = tuple(channels), features, per_channel
        self.sites = self.channels if per_channel else ("all",)
        self.span, self.window, self.hop, self.warm_up = window, least, hop, least - 1
        stride = max(1, window // hop)
        self.context = PastWindows(embedding, context, stride, classes) if context else None
        self.readout = nn.Linear(embedding, classes)
        if self.context:
            self.readout = _correcting(classes, self.context.hidden)
        self.looks_back, self.settled = context > 0, False
        self.embedding = embedding

    def embed(self, windows: Tensor) -> Tensor:
        """Return the embeddings, (window, embedding).

        Parameters
        ----------
        windows
            Without NaN: (window, sample, channel), one channel where each is looked at by itself,
            or (window, step, node, feature).
        """
        raise NotImplementedError(f"{type(self).__name__} must define embed")

    def embed_for_training(self, windows: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the embeddings, and logits of auxiliary heads, each (window, class)."""
        return self.embed(windows), ()

    def learn_alone(self) -> None:
        """Answer for each window by itself, until ``learn_to_look_back``."""
        self.looks_back = False

    def learn_to_look_back(self) -> None:
        """Leave what a window says by itself as it is, and learn only how the past corrects it."""
        self.looks_back = self.settled = True
        for name, weight in self.named_parameters():
            corrects = name.startswith(("context.", "readout.")) and ".alone." not in name
            weight.requires_grad_(corrects)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Learn or answer, as in torch; what is settled stays as it is when it answers."""
        return super().train(mode and not self.settled)

    def begin_as(self, start: Callable[[nn.Module], None]) -> None:
        """Give all layers their first weights, but for a readout that corrects the layer before."""
        for name, layer in self.named_children():
            if not (self.context and name == "readout"):
                layer.apply(start)

    @property
    def _needs_two(self) -> bool:
        """Whether there is a norm over the batch, whose statistics one window does not have."""
        return any(isinstance(layer, _BatchNorm) for layer in self.modules())

    def outputs(self, steps: int) -> int:
        """Return how many windows have ended once this many steps have come in."""
        return max(0, (steps - self.window) // self.hop + 1)

    def initial_state(self, batch: int) -> WindowState:
        """Return the state before the first step."""
        tail = () if self.features is None else (self.features,)
        shape = (batch, self.span - self.window, len(self.channels), *tail)
        samples = self.readout.weight.new_full(shape, torch.nan)
        if self.context:
            return WindowState(samples, *self.context.initial(batch, len(self.sites)))
        past = samples.new_zeros(batch, 0, len(self.sites), 0)
        return WindowState(samples, past, past.any(dim=-1))

    def steady(self, batch: int) -> tuple[int, WindowState]:
        """Return the steps of a window, and a state in which no samples are left over."""
        state = self.initial_state(batch)
        return self.span, state._replace(samples=state.samples[:, :0])

    def step(self, chunk: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
        """Return the logits of the windows that have ended, and the state.

        Parameters
        ----------
        chunk
            (batch, sample, channel) or (batch, step, node, feature); NaN where not valid. Where
            channels are looked at together, a sample is not valid when fewer than a quarter of
            the channels are, and a channel that is not valid counts as zeros.
        state
            From ``initial_state`` or an earlier call.

        Returns
        -------
        logits
            (batch, output, site, class); NaN where the samples that must be there are not valid.
        state
            For the next call.
        """
        logits, state, _ = self.forward(chunk, state)
        return logits, state

    def forward(
        self,
        chunk: Tensor,
        state: WindowState,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> tuple[Tensor, WindowState, tuple[Tensor, ...]]:
        """Do as ``step``; in training also return the logits of auxiliary heads."""
        samples = torch.cat([state.samples, chunk], dim=1)
        outputs = max(0, (samples.shape[1] - self.span) // self.hop + 1)
        kept = samples[:, outputs * self.hop :]
        shape = (samples.shape[0], outputs, len(self.sites))
        if not outputs:
            return (
                samples.new_zeros(*shape, self.readout.out_features),
                state._replace(samples=kept),
                (),
            )
        windows, valid = self._cut(samples)
        if self.training and self._needs_two and valid.sum() < 2:
            valid = torch.zeros_like(valid)
        embedded, auxiliary = self._embed_valid(windows.flatten(0, 2), valid.flatten())
        embedded, past, known = embedded.view(*shape, -1), state.past, state.known
        if self.context and self.looks_back:
            embedded, past, known = self.context(embedded, valid, past, known)
        silent = ~valid[..., None]
        heads = tuple(head.view(*shape, -1).masked_fill(silent, torch.nan) for head in auxiliary)
        speaks = self.context.alone if self.context and not self.looks_back else self.readout
        logits = speaks(embedded).masked_fill(silent, torch.nan)
        return logits, WindowState(kept, past, known), heads

    def rescale(self, scale: Factor, offset: Factor) -> None:
        """Make every logit ``scale * logit + offset``, by changing the weights of the readout."""
        rescale(self.readout, scale, offset)

    def _cut(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, output, site, sample, ...) without NaN, and which windows are valid."""
        windows = self._unfold(samples).movedim(-1, 2)
        if self.per_channel:
            windows = windows.movedim(3, 2)[..., None]
            return windows.nan_to_num(0.0), ~windows.isnan().flatten(3).any(dim=3)
        missing = samples.isnan() if self.features is None else samples.isnan().any(dim=-1)
        gaps = self._unfold(missing.float().mean(dim=2) > 1 - LEAST_VALID)
        valid = ~gaps[..., self.span - self.window :].any(dim=-1)
        if self.window < self.span:
            until_last_gap = gaps.flip(-1).cumsum(dim=-1).flip(-1) > 0
            forgotten = until_last_gap.reshape(*gaps.shape, *[1] * (windows.dim() - gaps.dim()))
            windows = windows.masked_fill(forgotten, 0.0)
        return windows.nan_to_num(0.0)[:, :, None], valid[:, :, None]

    def _unfold(self, values: Tensor) -> Tensor:
        """Return the windows of (batch, sample, ...), (batch, output, ..., sample)."""
        if values.shape[1] == self.span:
            return values.movedim(1, -1)[:, None]
        return values.unfold(1, self.span, self.hop)

    def _embed_valid(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        if torch.compiler.is_exporting():
            return self.embed(windows), ()
        whole = bool(valid.all())
        chosen = windows if whole else windows[valid]
        if self.training:
            if not len(chosen):
                return windows.new_zeros(len(windows), self.embedding), ()
            embedded, heads = self.embed_for_training(chosen)
        else:
            pieces = torch.split(chosen, AT_ONCE) if len(chosen) else ()
            nothing = chosen.new_zeros(0, self.embedding)
            embedded, heads = torch.cat([nothing, *map(self.embed, pieces)]), ()
        if whole:
            return embedded, heads
        return self._spread(embedded, valid), tuple(self._spread(head, valid) for head in heads)

    @staticmethod
    def _spread(values: Tensor, valid: Tensor) -> Tensor:
        return values.new_zeros(len(valid), values.shape[1]).index_put((valid,), values)


def _correcting(classes: int, hidden: int) -> nn.Linear:
    """Return a readout that says at first nearly what a window says by itself."""
    readout = nn.Linear(classes + hidden, classes)
    nn.init.normal_(readout.weight, std=0.01)
    nn.init.eye_(readout.weight.data[:, :classes])
    nn.init.zeros_(readout.bias)
    return readout
