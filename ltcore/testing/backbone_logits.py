"""The rules of a model's logits and of the gradient that comes back through them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ltcore.testing.backbone_subject import (
    HEADS,
    IMAGES,
    OTHER_K,
    TOLERANCE,
    BackboneSubject,
    K,
    alike,
)
from ltcore.testing.conformance import BrokenRuleError


def gives_one_logit_a_class(subject: BackboneSubject) -> None:
    """Images (N, 3, H, W) give logits (N, K): any K, either head, in training and evaluation."""
    for num_classes in (K, OTHER_K):
        for head in HEADS:
            model = subject.build(num_classes, head)
            for training in (True, False):
                logits = model.train(training)(subject.images())
                shape = tuple(getattr(logits, "shape", ()))
                if shape != (IMAGES, num_classes):
                    mode = "training" if training else "evaluation"
                    raise BrokenRuleError(
                        f"{shape or type(logits).__name__} for {IMAGES} images and "
                        f"{num_classes} classes, with a {head} head in {mode}"
                    )


def logits_are_float32(subject: BackboneSubject) -> None:
    """Logits are float32 with either head, under autocast too: bfloat16 ones would tie."""
    for head in HEADS:
        model = subject.build(head=head)
        for autocast in (False, True):
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                dtype = model(subject.images()).dtype
            if dtype != torch.float32:
                where = "under autocast" if autocast else "outside autocast"
                raise BrokenRuleError(f"{dtype} {where}, with a {head} head")


def builds_the_head_that_is_asked_for(subject: BackboneSubject) -> None:
    """A cosine head gives ``head_scale`` times a cosine; a linear one pays no heed to the scale."""
    for head in HEADS:
        models = [subject.build(head=head, head_scale=scale) for scale in (5.0, 10.0)]
        single, double = (subject.logits(model) for model in models)
        if not alike(double, 2 * single if head == "cosine" else single):
            ratio = (double / single).median().item()
            raise BrokenRuleError(
                f"twice the head_scale makes the logits of a {head} head {ratio:.3g} times as large"
            )
        largest = single.abs().max().item()
        if head == "cosine" and largest > 5 * (1 + TOLERANCE):
            raise BrokenRuleError(f"a cosine head with a head_scale of 5 gave {largest:.4g}")


def gradient_reaches_what_trains(subject: BackboneSubject) -> None:
    """Every trainable parameter gets a finite gradient, and one of the head's is not zero."""
    model = subject.build().train()
    labels = torch.arange(IMAGES) % K
    F.cross_entropy(model(subject.images()), labels).backward()  # type: ignore[no-untyped-call]
    trainable = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    missed = [name for name, grad in trainable.items() if grad is None or not grad.isfinite().all()]
    if missed:
        raise BrokenRuleError(f"none, or no finite one, reaches {', '.join(missed[:5])}")
    other = subject.build(OTHER_K).state_dict()
    head = [n for n, value in model.state_dict().items() if value.shape != other[n].shape]
    if not any(grad.any() for name in head if (grad := trainable.get(name)) is not None):
        raise BrokenRuleError(f"none reaches the head ({', '.join(head) or 'no parameter'})")


def evaluation_keeps_images_apart(subject: BackboneSubject) -> None:
    """In ``eval()`` an image's logits do not depend on the batch that it is in."""
    model, images = subject.build(), subject.images()
    together = subject.logits(model)
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in images])
    if not alike(alone, together):
        worst = (alone - together).abs().max().item()
        raise BrokenRuleError(f"one by one, logits differ by up to {worst:.3g}")


def takes_channels_last_images(subject: BackboneSubject) -> None:
    """Model and images in channels-last memory, as in a run, give the same logits."""
    model = subject.build()
    expected = subject.logits(model)
    with torch.no_grad():
        images = subject.images().contiguous(memory_format=torch.channels_last)
        logits = model.to(memory_format=torch.channels_last)(images)
    if not alike(logits, expected):
        worst = (logits - expected).abs().max().item()
        raise BrokenRuleError(f"logits differ by up to {worst:.3g}")


def leaves_images_alone(subject: BackboneSubject) -> None:
    """The images are not changed in place."""
    images = subject.images()
    with torch.no_grad():
        subject.build()(images)
    if not torch.equal(images, subject.images()):
        raise BrokenRuleError("they changed")


LOGITS = (
    logits_are_float32,
    builds_the_head_that_is_asked_for,
    gradient_reaches_what_trains,
    evaluation_keeps_images_apart,
    takes_channels_last_images,
    leaves_images_alone,
)
