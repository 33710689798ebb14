"""Counter-based random numbers: against splitmix64 in plain Python, and pinned for ever."""

from __future__ import annotations

import torch

from ltcore.running.randomness import Purpose, epoch_order, random_bits, step_seed

MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """Vigna's splitmix64.c: the output that follows a state."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_reference_is_splitmix64():
    assert splitmix64(1234567) == 6457827717110365317


def chain(*values: int) -> int:
    state = 0
    for value in values:
        state = splitmix64(state ^ value)
    return state


def test_step_seed_is_a_chain_of_splitmix64():
    for values in ((42, 0, 0, 4), (2**63 - 1, 199, 351, 5)):
        assert step_seed(*values[:3], Purpose(values[3])) == chain(*values)


def test_random_bits_are_splitmix64_of_the_index():
    index = torch.tensor([0, 1, 77, 2**40])
    key = chain(42, 3, 0, int(Purpose.FLIP))
    expected = [splitmix64(key ^ int(i)) >> 33 for i in index]
    assert random_bits(42, 3, index, Purpose.FLIP).tolist() == expected


def test_epoch_order_is_pinned():
    assert epoch_order(42, 0, 8).tolist() == epoch_order(42, 0, 8).tolist()
    order = sorted(
        range(8), key=lambda i: splitmix64(chain(42, 0, 0, int(Purpose.ORDER)) ^ i) >> 33
    )
    assert epoch_order(42, 0, 8).tolist() == order


def test_epoch_order_is_another_permutation_in_each_epoch():
    orders = [epoch_order(42, epoch, 1000) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(epoch_order(1, 0, 1000), orders[0])


def test_random_bits_are_uniform_and_independent_of_the_purpose():
    index = torch.arange(100_000)
    draws = {p: random_bits(0, 0, index, p).double() / 2**31 for p in Purpose}
    for values in draws.values():
        counts = torch.histc(values, 10, 0, 1)
        assert ((counts - 10_000) ** 2 / 10_000).sum() < 40  # chi-square, 9 degrees: p < 1e-5
    table = torch.stack(list(draws.values()))
    assert (torch.corrcoef(table) - torch.eye(len(Purpose))).abs().max() < 0.02
