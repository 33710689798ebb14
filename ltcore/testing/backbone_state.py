"""The rules of what a model draws, keeps and restores."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F

from ltcore.testing.backbone_subject import IMAGES, BackboneSubject, K
from ltcore.testing.conformance import BrokenRuleError


def draws_weights_from_the_seed(subject: BackboneSubject) -> None:
    """Weights come from torch's global random state, which a run seeds and ``build`` does not."""
    first, second = subject.build().state_dict(), subject.build().state_dict()
    different = [name for name, value in first.items() if not torch.equal(value, second[name])]
    if different:
        raise BrokenRuleError(f"one seed gave two values of {', '.join(different[:5])}")
    states = []
    for seed in (3, 4):
        subject.build(seed=seed)
        states.append(torch.get_rng_state())
    if torch.equal(*states):
        raise BrokenRuleError("build seeds torch's global random state itself")


def draws_in_training_from_the_seed(subject: BackboneSubject) -> None:
    """Dropout and its like draw from torch's random state alone, which is seeded for each step."""
    logits = []
    for _ in range(2):
        model = subject.build().train()
        torch.manual_seed(5)
        logits.append(model(subject.images()))
    if not torch.equal(*logits):
        raise BrokenRuleError("one seed gave two results in training mode")


def evaluation_changes_no_state(subject: BackboneSubject) -> None:
    """In ``eval()`` images give the same logits again, and no weight or statistic moves."""
    model = subject.build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    if not torch.equal(subject.logits(model), subject.logits(model)):
        raise BrokenRuleError("the logits were others the second time")
    changed = [n for n, value in model.state_dict().items() if not torch.equal(value, before[n])]
    if changed:
        raise BrokenRuleError(f"{', '.join(changed[:5])} changed")


def state_dict_restores_the_model(subject: BackboneSubject) -> None:
    """A trained model's state dict, saved and loaded as tensors, makes another model equal."""
    trained = subject.build().train()
    optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.01)
    value = F.cross_entropy(trained(subject.images()), torch.arange(IMAGES) % K)
    value.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    with io.BytesIO() as file:
        torch.save(trained.state_dict(), file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
    restored = subject.build(seed=6)
    restored.load_state_dict(state)
    if not torch.equal(subject.logits(trained.eval()), subject.logits(restored)):
        raise BrokenRuleError("the restored model gives other logits")


STATE = (
    draws_weights_from_the_seed,
    draws_in_training_from_the_seed,
    evaluation_changes_no_state,
    state_dict_restores_the_model,
)
