"""Random numbers as hashes: splitmix64's values, uniform, and independent for each purpose."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
import torch

from ltcore.running.randomness import Purpose, epoch_order, random_bits, step_seed

MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """What Vigna's splitmix64.c returns for a state, in Python's own integers."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def bits(seed=3, epoch=1, n=20_000, purpose=Purpose.ORDER):
    return random_bits(seed, epoch, torch.arange(n), purpose)


def test_reference_gives_the_published_values():
    golden = 0x9E3779B97F4A7C15
    values = [splitmix64(1234567 + i * golden & MASK) for i in range(5)]

    assert values == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**63 - 1])
def test_step_seed_is_a_chain_of_splitmix64(seed):
    for epoch, step, purpose in itertools.product((0, 1, 10**6), (0, 7, 2**40), Purpose):
        state = splitmix64(0 ^ seed)
        for value in (epoch, step, int(purpose)):
            state = splitmix64(state ^ value)

        assert step_seed(seed, epoch, step, purpose) == state


@pytest.mark.parametrize("seed", [0, 42, 2**63 - 1])
def test_bits_are_the_upper_31_of_splitmix64(seed):
    index = [0, 1, 2, 1000, 2**31, 2**62]
    key = step_seed(seed, 5, 0, Purpose.FLIP)

    ours = random_bits(seed, 5, torch.tensor(index), Purpose.FLIP)

    assert ours.tolist() == [splitmix64(i ^ key) >> 33 for i in index]


def test_bits_and_seeds_are_the_same_for_ever():
    assert random_bits(42, 0, torch.arange(4), Purpose.SHIFT_DOWN).tolist() == [
        1938351225,
        328196960,
        337116107,
        1534483263,
    ]
    assert step_seed(42, 3, 7, Purpose.MODEL) == 417173468585754586
    assert epoch_order(42, 0, 8).tolist() == [2, 3, 6, 1, 5, 7, 4, 0]
    digest = hashlib.sha256(epoch_order(42, 17, 10_000).numpy().tobytes()).hexdigest()
    assert digest == "34860035f08ec4aa8d5af803b7f17972ac325f48884aa589fab07df9b05c8dde"


def test_bits_are_uniform():
    counts = np.bincount(bits(n=64_000).numpy() >> 25, minlength=64)

    chi_square = ((counts - 1000) ** 2 / 1000).sum()

    assert len(counts) == 64
    assert chi_square < 63 + 5 * np.sqrt(2 * 63)


@pytest.mark.parametrize(
    "others",
    [{"purpose": Purpose.FLIP}, {"epoch": 2}, {"seed": 4}, {"seed": 1, "epoch": 3}],
    ids=["purpose", "epoch", "seed", "seed and epoch swapped"],
)
def test_bits_for_another_key_are_uncorrelated(others):
    correlation = np.corrcoef(bits().numpy(), bits(**others).numpy())[0, 1]

    assert abs(correlation) < 5 / np.sqrt(20_000)


def test_bits_of_neighbouring_images_are_uncorrelated():
    values = bits().numpy()

    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 5 / np.sqrt(20_000)


def test_bits_of_an_image_do_not_depend_on_the_others():
    index = torch.tensor([5, 3, 11])

    assert torch.equal(random_bits(3, 1, index, Purpose.ORDER), bits()[index])


@pytest.mark.parametrize("n", [1, 2, 9754])
def test_epoch_order_is_a_permutation(n):
    assert torch.equal(epoch_order(42, 0, n).sort().values, torch.arange(n))


@pytest.mark.parametrize("other", [(42, 1), (43, 0)], ids=["epoch", "seed"])
def test_epoch_order_changes_with(other):
    differing = (epoch_order(42, 0, 1000) != epoch_order(*other, 1000)).sum()

    assert differing > 950


def test_epoch_order_does_not_depend_on_the_global_generator():
    torch.manual_seed(0)
    first = epoch_order(42, 0, 1000)
    torch.manual_seed(1)

    assert torch.equal(first, epoch_order(42, 0, 1000))


def test_epoch_order_puts_every_image_everywhere():
    positions = torch.stack([epoch_order(42, epoch, 10).argsort() for epoch in range(2000)])

    counts = torch.stack([torch.bincount(column, minlength=10) for column in positions.T])

    assert counts.min() > 200 - 6 * 14
    assert counts.max() < 200 + 6 * 14


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_bits_are_the_same_on_a_gpu():
    index = torch.arange(10_000)

    on_gpu = random_bits(42, 3, index.cuda(), Purpose.FLIP)

    assert torch.equal(on_gpu.cpu(), random_bits(42, 3, index, Purpose.FLIP))
