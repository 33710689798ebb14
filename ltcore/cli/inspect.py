"""`ltcore inspect`."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command(
    "inspect",
    short_help="Show what is in a results file.",
    epilog="Example: ltcore inspect results/cifar100_lt-resnet32-focal-s42.h5",
)
@click.argument("file", type=click.Path())
def command(file: str) -> None:
    """Show what is in FILE, a results file: the run, its data, its history, the spec; as JSON."""
    from ltcore.results_files import read_results

    results = read_results(file)
    classes = results.classes
    splits = {"test": results.test, "val": results.val}
    splits |= {f"last/{name}": split for name, split in results.last.items()}
    shown: dict[str, Any] = {
        "name": results.name,
        "verified": results.verified,
        **{
            name: getattr(results, name)
            for name in (
                "created",
                "seconds",
                "parameters",
                "best_epoch",
                "selection",
                "val_is_test",
                "trained_prior",
                "origin",
                "ltcore_version",
            )
        },
        "plugins": dict(results.plugins),
        "environment": dict(results.environment),
        "classes": {
            "number": len(classes),
            "training_images": int(classes.counts.sum()),
            "largest": int(classes.counts.max()),
            "smallest": int(classes.counts.min()),
        },
        "splits": {
            name: {
                "images": len(split.label),
                "views": {view: len(indices) for view, indices in split.views.items()},
            }
            for name, split in splits.items()
            if split is not None
        },
        "history": {column: values.tolist() for column, values in results.history.items()},
        "spec": json.loads(results.spec.to_json()),
    }
    click.echo(json.dumps(shown, indent=2, ensure_ascii=True))
