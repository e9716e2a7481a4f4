"""Which elements of REST's memory an update changes: drawn at random, in training and on demand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ranvier.networks.chance import draw_ones


def draw_masks(
    shape: Sequence[int], fire_rate: float, repeats: Sequence[int], generator: torch.Generator
) -> list[Tensor]:
    """Draw the masks of one step, of 0 and 1, one for each of its updates.

    Parameters
    ----------
    shape
        Of a mask.
    fire_rate
        Share of ones.
    repeats
        Fewest and most updates.
    generator
        What draws; the masks lie on its device.
    """
    fewest, most = repeats
    where = generator.device
    drawn = torch.randint(fewest, most + 1, (), generator=generator, device=where)
    return list(draw_ones((int(drawn), *shape), fire_rate, generator=generator, device=where))


def draw_by_row(
    shape: Sequence[int],
    fire_rate: float,
    repeats: Sequence[int],
    seeds: Tensor,
    drawn: Tensor,
) -> list[Tensor]:
    """Draw masks whose rows do not depend on each other, nor on how a recording is cut.

    Parameters
    ----------
    shape
        Of a mask, (row, ...).
    fire_rate, repeats
        As for ``draw_masks``.
    seeds
        Of each row, (row,).
    drawn
        How many steps were drawn before this one, (row,).
    """
    rows = []
    for seed, count in zip(seeds.tolist(), drawn.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + count)
        updates = int(torch.randint(repeats[0], repeats[1] + 1, (), generator=generator))
        draws = torch.rand((updates, *shape[1:]), generator=generator)
        rows.append(list((draws < fire_rate).float().to(seeds.device)))
    most, unchanged = max(map(len, rows)), torch.zeros_like(rows[0][0])
    padded = [[*row, *[unchanged] * (most - len(row))] for row in rows]
    return [torch.stack(masks) for masks in zip(*padded, strict=True)]
