"""Windows of resized images against images that are resized and padded whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ltcore.running.resizing import resized_windows, taps

CPU = torch.device("cpu")
SIZE, PADDING = 10, 4


def pictures(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, 3, height, width), dtype=torch.uint8, generator=generator)


def whole(images: Tensor) -> Tensor:
    """Resized and padded in float64: (n, 3, SIZE + 2 * PADDING, SIZE + 2 * PADDING)."""
    resized = F.interpolate(images.double(), (SIZE, SIZE), mode="bilinear")
    return F.pad(resized, [PADDING] * 4)


@pytest.mark.parametrize(("height", "width"), [(3, 5), (10, 10), (7, 9), (1, 1)])
def test_windows_of_the_four_corners_agree_with_the_whole(height, width):
    images, line = pictures(height, width), torch.arange(SIZE)
    first, last = line, line + 2 * PADDING
    rows = torch.stack([first, first, last, last])
    columns = torch.stack([first, last, first, last])

    for across in (columns, columns.flip(1)):
        ours = resized_windows(images, rows, across, SIZE, PADDING).view(4, SIZE, SIZE, 3)

        each = zip(whole(images), rows, across, strict=True)
        expected = torch.stack([image[:, y][:, :, x].permute(1, 2, 0) for image, y, x in each])
        torch.testing.assert_close(ours.double(), expected, rtol=0, atol=1e-4)


def test_images_of_the_size_keep_their_values():
    images, every = pictures(SIZE, SIZE), torch.arange(SIZE).expand(4, -1)

    ours = resized_windows(images, every, every, SIZE, padding=0)

    assert torch.equal(ours.view(4, SIZE, SIZE, 3).permute(0, 3, 1, 2), images.float())


@pytest.mark.parametrize("stored", [1, 3, 9, 10])
def test_taps_weigh_one_in_the_image_and_nothing_in_the_padding(stored):
    weight = taps(stored, SIZE, PADDING, CPU).weight.sum(dim=1)

    expected = F.pad(torch.ones(SIZE), [PADDING] * 2)
    torch.testing.assert_close(weight, expected)
    assert torch.equal(weight == 0, expected == 0)


def test_taps_interpolate_between_the_two_nearest_lines():
    source, weight = taps(2, 4, 0, CPU)

    shares = torch.zeros(4, 2).scatter_add(1, source.long(), weight)

    expected = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    torch.testing.assert_close(shares, expected)
