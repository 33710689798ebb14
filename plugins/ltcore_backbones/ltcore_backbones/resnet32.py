"""The ResNet-32 for CIFAR with parameter-free shortcuts, as the long-tail literature trains it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ltcore_backbones.adaptation import Adaptation
from ltcore_backbones.freezing import Stages
from ltcore_backbones.weights_files import load_weights, read_weights

STAGES: Stages = [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"]]

_BLOCKS = 5  # a stage; 6 * 5 + 2 layers
_WIDTHS = (16, 32, 64)


def build_resnet32(weights: str | None, adaptation: Adaptation) -> nn.Module:
    """Make a ResNet-32.

    Args:
        weights: a file, or None.
        adaptation: what to change in it.

    Raises:
        SpecError: a file that does not fit, or too few stages.
        SurroundingsError: the file is missing or damaged.
    """
    model = ResNet32(adaptation.num_classes)
    head = adaptation.apply(model, STAGES)
    if weights is not None:
        load_weights(model, read_weights(weights), head=head, source=weights)
    return model


class ResNet32(nn.Module):
    """Images (N, 3, H, W), H and W at least 4 -> logits (N, K): 464,154 parameters for K = 10.

    A 3 x 3 convolution, three stages of five blocks with 16, 32 and 64 channels, the mean over
    all places, a linear layer. Convolutions are drawn from He et al.'s normal distribution
    (fan-in). The names of parameters are those of the code that most long-tailed numbers on CIFAR
    come from, so that its state dicts load. What norms give is changed in place: a hook that keeps
    features belongs on a block.

    Args:
        num_classes: K.

    Reference:
        He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016, section 4.2.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(3, _WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.layer1 = _stage(_WIDTHS[0], _WIDTHS[0], stride=1)
        self.layer2 = _stage(_WIDTHS[0], _WIDTHS[1], stride=2)
        self.layer3 = _stage(_WIDTHS[1], _WIDTHS[2], stride=2)
        self.linear = nn.Linear(_WIDTHS[2], num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, K) logits."""
        features = _relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(features.mean((2, 3)))
        return logits


class _Block(nn.Module):
    """Two 3 x 3 convolutions around which the input goes, subsampled and padded with zero channels.

    This is option A of He et al.: the shortcut has no parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels
        self.conv1 = _conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.bn2(self.conv2(_relu(self.bn1(self.conv1(features)))))
        residual += self._shortcut(features)
        return _relu(residual)

    def _shortcut(self, features: Tensor) -> Tensor:
        if not self.new_channels:
            return features
        before = self.new_channels // 2
        subsampled = F.avg_pool2d(features, kernel_size=1, stride=self.stride)  # faster than [::2]
        return F.pad(subsampled, (0, 0, 0, 0, before, self.new_channels - before))


def _relu(sums: Tensor) -> Tensor:
    """In place: no backward pass reads what batch norm or a sum gave."""
    return F.relu(sums, inplace=True)


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def _stage(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    first = _Block(in_channels, out_channels, stride=stride)
    rest = [_Block(out_channels, out_channels, stride=1) for _ in range(_BLOCKS - 1)]
    return nn.Sequential(first, *rest)
