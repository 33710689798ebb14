"""Data sets of long-tailed recognition, as ltcore components.

What each one is called and takes stands in ``cifar``, ``image_folder`` and ``synthetic``; how the
images are found, read and drawn stands in the other modules, imported when one is built.
"""

from __future__ import annotations

from collections.abc import Sequence

import ltcore
from ltcore_datasets.cifar import Cifar10, Cifar10LT, Cifar100, Cifar100LT
from ltcore_datasets.image_folder import ImageFolder
from ltcore_datasets.synthetic import Synthetic

__all__ = ["Cifar10", "Cifar10LT", "Cifar100", "Cifar100LT", "ImageFolder", "Synthetic"]


@ltcore.hookimpl
def ltcore_register_datasets() -> Sequence[type[ltcore.Dataset]]:
    """The six data sets of this package."""
    return [Cifar100, Cifar100LT, Cifar10, Cifar10LT, ImageFolder, Synthetic]
