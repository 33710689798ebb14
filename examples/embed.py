"""Embed ltcore in a program: two runs, their tail accuracy, and the logits for anything else.

Run it as ``python examples/embed.py``; it takes half a minute on two cores.
"""

import numpy as np

import ltcore

spec = {
    "dataset": "synthetic",
    "backbone": "resnet32",
    "training": {"epochs": 3, "batch_size": 32, "scheduler": "cosine"},
}
runs = [
    ltcore.run({**spec, "loss": loss}, out="results")
    for loss in ("cross_entropy", "balanced_softmax")
]

for results in runs:
    tail = ltcore.evaluate(results)["balanced_tail"]
    print(f"{results.spec.loss.name}: {tail.top1:.3f} of {tail.n} tail images right")

# The saved logits allow what nobody thought of before training: here, post-hoc logit adjustment.
plain = runs[0]
adjusted = plain.test.logits - np.log(plain.classes.prior)
tail = plain.test.views["balanced_tail"]
right = (adjusted.argmax(axis=1) == plain.test.label)[tail].mean()
print(f"cross_entropy, logits adjusted afterwards: {right:.3f}")
