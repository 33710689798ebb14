"""The rules of what a loss may keep, change and draw, and where it computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ltcore.running.losses import PerSampleLoss
from ltcore.testing.conformance import BrokenRuleError
from ltcore.testing.loss_subject import LossSubject, reseeded

_EPOCHS = 12


def leaves_the_class_counts_alone(subject: LossSubject) -> None:
    """Neither ``build`` nor the criterion writes into ``classes.counts``."""
    classes = subject.classes()
    subject.build(classes)(*subject.examples())
    if not np.array_equal(classes.counts, subject.counts):
        raise BrokenRuleError(f"{subject.counts.tolist()} became {classes.counts.tolist()}")


def leaves_its_arguments_alone(subject: LossSubject) -> None:
    """Logits and labels are not changed in place: the run reads them afterwards."""
    logits, labels = subject.examples()
    given, given_labels = logits * 1, labels.clone()
    subject.build()(given, given_labels)
    if not torch.equal(given, logits):
        raise BrokenRuleError("the logits changed")
    if not torch.equal(given_labels, labels):
        raise BrokenRuleError("the labels changed")


def forward_changes_no_state(subject: LossSubject) -> None:
    """Called twice with the same random numbers, it gives the same, and no tensor of it changes."""
    criterion = subject.build()
    before = {name: tensor.clone() for name, tensor in _tensors(criterion)}
    first = reseeded(criterion)(*subject.examples())
    second = reseeded(criterion)(*subject.examples())
    if not torch.equal(first, second):
        raise BrokenRuleError(f"{first.item()!r} at first, {second.item()!r} the second time")
    changed = [n for n, tensor in _tensors(criterion) if not torch.equal(tensor, before[n])]
    if changed:
        raise BrokenRuleError(f"{', '.join(changed)} changed")


def state_depends_on_the_epoch_alone(subject: LossSubject) -> None:
    """``start_epoch(e)`` leaves the same state after epochs 0 to e as by itself, on resuming."""
    walked = subject.build_per_sample()
    for epoch in range(_EPOCHS):
        walked.start_epoch(epoch)
        resumed = subject.build(epoch=epoch)
        values = [reseeded(criterion)(*subject.examples()) for criterion in (walked, resumed)]
        if not torch.equal(*values):
            raise BrokenRuleError(
                f"epoch {epoch}: {values[0].item()!r}, resumed {values[1].item()!r}"
            )


def randomness_comes_from_the_generator(subject: LossSubject) -> None:
    """What a per-sample loss draws depends on ``self.generator`` alone, which ltcore seeds."""
    criterion = subject.build_per_sample()
    values = []
    for seed in range(3):
        torch.manual_seed(seed)
        values.append(reseeded(criterion, generator_alone=True)(*subject.examples()).item())
    if len(set(values)) > 1:
        raise BrokenRuleError("the value depends on torch's global random state")


def gives_one_value_a_sample(subject: LossSubject) -> None:
    """``per_sample`` of logits (N, K) and labels (N,) has the shape (N,)."""
    logits, labels = subject.examples()
    with torch.no_grad():
        values = subject.build_per_sample().per_sample(logits, labels)
    shape = tuple(getattr(values, "shape", ()))
    if shape != (len(labels),):
        raise BrokenRuleError(f"{shape} for {len(labels)} samples")


def leaves_reducing_to_ltcore(subject: LossSubject) -> None:
    """A per-sample loss does not reduce by itself: deferred re-weighting would pass it by."""
    criterion = subject.build_per_sample()
    logits, labels = subject.examples()
    value = reseeded(criterion)(logits, labels)
    expected = criterion.reduce(reseeded(criterion).per_sample(logits, labels), labels)
    if not torch.allclose(value, expected, rtol=1e-4):
        raise BrokenRuleError(
            f"it gave {value.item()!r}, ltcore makes {expected.item()!r} of its values"
        )


def follows_the_device(subject: LossSubject) -> None:
    """After ``.to(device)`` all of it is there: constants are buffers, and what it makes follows.

    It is moved to torch's ``meta`` device, on which nothing is computed.
    """
    criterion = subject.build().to("meta")
    left = [name for name, tensor in _tensors(criterion) if tensor.device.type != "meta"]
    if left:
        raise BrokenRuleError(f"{', '.join(left)} stayed behind; register it as a buffer")
    logits, labels = (tensor.detach().to("meta") for tensor in subject.examples())
    # meta knows no autocast, which a per-sample loss's forward turns off
    compute = criterion.per_sample if isinstance(criterion, PerSampleLoss) else criterion
    try:
        compute(logits, labels)
    except (RuntimeError, NotImplementedError) as error:
        if "device" in str(error):  # else it looks at values, of which meta has none
            raise BrokenRuleError(f"{error}".partition("\n")[0]) from error


STATE = (
    leaves_the_class_counts_alone,
    forward_changes_no_state,
    state_depends_on_the_epoch_alone,
    randomness_comes_from_the_generator,
    leaves_reducing_to_ltcore,
    follows_the_device,
)


def _tensors(criterion: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters, buffers and plain attributes, also in lists and dicts, of all its modules."""
    internal = vars(nn.Module()).keys()
    for prefix, module in criterion.named_modules():
        held: list[tuple[str, object]] = [
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
            *((name, value) for name, value in vars(module).items() if name not in internal),
        ]
        for name, value in held:
            items: Iterable[object] = [value]
            if isinstance(value, Mapping):
                items = value.values()
            elif isinstance(value, (list, tuple)):
                items = value
            path = f"{prefix}.{name}" if prefix else name
            yield from ((path, item) for item in items if isinstance(item, Tensor))
