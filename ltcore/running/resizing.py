"""Windows of enlarged images: only what a window shows is computed.

A row of an enlarged image is a weighted sum of two rows of the stored one, a column one of two
columns. No matrix product, whose rounding depends on how many images there are: every sum is taken
by itself, in the order of its taps. So an image comes out the same in whatever batch it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Taps(NamedTuple):
    """Which stored lines make up each line of a picture, and how much of each.

    Attributes:
        source: (..., 2) int32, stored lines, from 0.
        weight: (..., 2) float32; they sum to 1, in the padding to 0.
    """

    source: Tensor
    weight: Tensor

    def at(self, places: Tensor) -> Taps:
        """Those of the lines at some places."""
        return Taps(self.source[places], self.weight[places])


def resized_windows(
    images: Tensor, rows: Tensor, columns: Tensor, size: int, padding: int
) -> Tensor:
    """Windows of images that are enlarged to ``size`` pixels a side and padded with zeros.

    Bilinear. Images made smaller would alias: :func:`ltcore.running.decoding.fit_images` makes them
    smaller once, before.

    Args:
        images: (n, 3, H, W) uint8, of at most ``size`` pixels a side.
        rows: (n, S) int64 in [0, size + 2 * padding), the rows of each padded image to show.
        columns: (n, S) int64, its columns; in falling order they mirror it.
        size: pixels a side, before padding.
        padding: pixels on each side.

    Returns:
        (n, S, 3 * S) float32: a row has its pixels' channels side by side.
    """
    n, channels, height, width = images.shape
    across = taps(width, size, padding, images.device).at(columns)
    down = taps(height, size, padding, images.device).at(rows)
    lines = images.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    lines = lines.transpose(1, 2).contiguous().float().view(n, width, channels * height)
    lines = _sums(lines, across)  # (n, S, 3 * H)
    lines = lines.view(n, -1, height).transpose(1, 2)
    return _sums(lines, down)


@lru_cache(maxsize=16)
def taps(stored: int, size: int, padding: int, device: torch.device) -> Taps:
    """The taps of every line of an enlarged and padded image: (size + 2 * padding, 2).

    With the scale s = stored / size, line i has of stored line j the share of
    max(0, 1 - |j + 1/2 - s (i + 1/2)|) in the sum over j: linear interpolation between two lines,
    the outermost of which are repeated beyond the edge.
    """
    line = torch.arange(-padding, size + padding)
    middle = (line.double() + 0.5) * stored / size
    source = (middle - 0.5).floor()[:, None] + torch.arange(2)
    weight = (1 - (source + 0.5 - middle[:, None]).abs()).clamp(min=0)
    weight = weight.where((source >= 0) & (source < stored), 0)
    share = weight / weight.sum(dim=1, keepdim=True)
    inside = (line >= 0) & (line < size)
    return Taps(
        source.clamp(0, stored - 1).int().to(device),
        share.where(inside[:, None], 0).float().to(device),
    )


def _sums(lines: Tensor, of: Taps) -> Tensor:
    """(n, L, D) float32, taps (n, S, 2) -> (n, S, D): weighted sums of each image's own lines."""
    n, length, breadth = lines.shape
    first = torch.arange(0, n * length, length, dtype=torch.int32, device=lines.device)
    sums = F.embedding_bag(
        (of.source + first[:, None, None]).flatten(0, 1),
        lines.reshape(n * length, breadth).contiguous(),  # strided lines are rounded differently
        mode="sum",
        per_sample_weights=of.weight.flatten(0, 1),
    )
    return sums.view(n, -1, breadth)
