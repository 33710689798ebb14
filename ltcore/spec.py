"""What a run is: the validated, frozen description that is typed by users and stored in results.

Components appear as references, a name with parameters; :mod:`ltcore.resolution` checks them
against what is installed. Nothing here knows a plugin or reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ltcore.components import Declaration, Kind, Seed, Seeds
from ltcore.components import Field as Parameter

LARGEST_SIZE = 4096
COMPONENT_FIELDS: tuple[Kind, ...] = ("dataset", "backbone", "loss")


def _named(default: str | None = None) -> Callable[[Any], Any]:
    """Expand a string to an object with that name; an object without one gets the default."""

    def expand(value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping):
            return value if default is None else {"name": default, **value}
        if isinstance(value, BaseModel):
            return value
        raise PydanticCustomError("named", "Input should be a name, or an object with a 'name'")

    return expand


class ComponentRef(Declaration):
    """A component by name, with its own parameters.

    ``"focal"`` or ``{"name": "focal", "gamma": 1}``.

    Attributes:
        name: a component's name; ``"<distribution>:<name>"`` where two plugins offer one name.
        parameters: its parameters by name.
    """

    name: str = Field(min_length=1)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _expand(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        expanded = _named()(value)
        if isinstance(expanded, Mapping):
            parameters = {key: item for key, item in expanded.items() if key != "name"}
            named = {"name": expanded["name"]} if "name" in expanded else {}
            expanded = {**named, "parameters": parameters}
        return handler(expanded)

    @model_serializer
    def _flatten(self) -> dict[str, JsonValue]:
        return {"name": self.name, **self.parameters}


_Positive = Annotated[float, Field(gt=0)]


class NormalizationValues(Declaration):
    """Statistics of the red, green and blue channel, of images in [0, 1]."""

    mean: tuple[float, float, float] = Field(strict=False)  # a list, in Python as in JSON
    std: tuple[_Positive, _Positive, _Positive] = Field(strict=False)


Normalize = Annotated[
    Annotated[Literal["study", "cifar100", "imagenet", "backbone"], Tag("name")]
    | Annotated[NormalizationValues, Tag("values")],
    Discriminator(
        lambda value: "values" if isinstance(value, (Mapping, NormalizationValues)) else "name"
    ),
]


class Transform(Declaration):
    """What happens to an image before the model sees it.

    Training resizes, pads with zeros, crops at random, flips at random and normalises; evaluation
    resizes and normalises.
    """

    size: int | None = Field(
        default=None, ge=1, le=LARGEST_SIZE, description="Pixels a side; the backbone's where null."
    )
    crop_padding: int = Field(
        default=4, ge=0, le=LARGEST_SIZE, description="Zero pixels added on each side."
    )
    horizontal_flip: float = Field(default=0.5, ge=0, le=1, description="Its probability.")
    normalize: Normalize = Field(
        default="study",
        description="Channel statistics; 'study' are CIFAR-10's, 'backbone' the weights' own.",
    )


class Adam(Declaration):
    """torch.optim.Adam."""

    name: Literal["adam"] = "adam"
    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


class AdamW(Declaration):
    """torch.optim.AdamW."""

    name: Literal["adamw"]
    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)


class SGD(Declaration):
    """torch.optim.SGD."""

    name: Literal["sgd"]
    lr: float = Field(default=0.1, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class _Scheduler(Declaration):
    warmup_epochs: int = Field(
        default=0, ge=0, description="Epoch e below it runs at lr (e + 1) / warmup_epochs."
    )


class Step(_Scheduler):
    """The rate is multiplied by gamma every step_size epochs."""

    name: Literal["step"] = "step"
    step_size: int = Field(default=30, ge=1)
    gamma: float = Field(default=0.1, gt=0, le=1)


class MultiStep(_Scheduler):
    """The rate is multiplied by gamma at each milestone."""

    name: Literal["multistep"]
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, strict=False)
    gamma: float = Field(default=0.1, gt=0, le=1)


class Cosine(_Scheduler):
    """The rate falls along half a cosine from lr at epoch 0 to 0 at the end of the last epoch."""

    name: Literal["cosine"]


class Constant(_Scheduler):
    """The rate stays."""

    name: Literal["constant"]


Optimizer = Annotated[
    Adam | AdamW | SGD, Field(discriminator="name"), BeforeValidator(_named("adam"))
]
Scheduler = Annotated[
    Step | MultiStep | Cosine | Constant,
    Field(discriminator="name"),
    BeforeValidator(_named("step")),
]


class Training(Declaration):
    """How the model is trained, and which epoch's weights are tested."""

    epochs: int = Field(default=90, ge=1)
    batch_size: int = Field(default=128, ge=1, description="Over all ranks.")
    eval_batch_size: int = Field(default=256, ge=1, description="On each rank.")
    optimizer: Optimizer = Field(default_factory=Adam)
    scheduler: Scheduler = Field(default_factory=Step)
    device: str = Parameter(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="auto, cpu, cuda, cuda:N or mps.",
        affects_outcome=False,
    )
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = Field(default=False, description="Compile the model with torch.compile.")
    cuda_graphs: bool = Field(default=False, description="Launch a whole pass at once; CUDA only.")
    deterministic: bool = Field(
        default=False,
        description="Use deterministic algorithms alone, and refuse what has none; on the CPU runs "
        "repeat without it.",
    )
    sync_batch_norm: bool = Field(
        default=False,
        description="Normalise over the batch of all ranks, not over each rank's share; CUDA only.",
    )
    select: Literal["best", "last"] | None = Field(
        default=None,
        description="The tested epoch: best by validation top-1, or last. Where null: best, but "
        "last where validation and test are the same images.",
    )
    keep_last: bool = Field(default=False, description="Store the last epoch's logits as well.")
    image_gb: float | None = Parameter(
        default=None,
        ge=0,
        description="Memory, in 1e9 bytes, that images decoded from files may take; what does not "
        "fit is decoded anew in each epoch. Null: half of the machine's memory.",
        affects_outcome=False,
    )
    checkpoint_minutes: float = Parameter(
        default=10.0,
        gt=0,
        description="How long an epoch may go on without a checkpoint; each epoch ends with one.",
        affects_outcome=False,
    )
    timeout_seconds: float = Parameter(
        default=600.0,
        gt=0,
        description="How long a rank waits for another.",
        affects_outcome=False,
    )


class SeedOverrides(Declaration):
    """Seeds that are set apart from ``seed``; see :class:`ltcore.Seeds`."""

    data: Seed | None = Field(default=None, description="Which images train.")
    init: Seed | None = Field(default=None, description="Weights, dropout, the loss's draws.")
    order: Seed | None = Field(default=None, description="Order and augmentation.")
    split: Seed = Field(default=42, description="Which images are held out; not seed's.")


class RunSpec(Declaration):
    """The description of one run.

    Made from keywords, ``RunSpec(dataset="cifar100_lt", backbone="resnet50", loss="focal")``, or
    read by :func:`ltcore.load_spec`. Constructing one checks the core's fields, running it also
    checks the components' parameters.

    Attributes:
        name: of the run and its results file; made from the other fields where None.
        seed: drives everything that is drawn but the split.
        seeds: seeds that are set apart from ``seed``.
        dataset, backbone, loss: the components, by name with their parameters.
        transform: what happens to an image before the model sees it.
        training: how the model is trained, and which epoch's weights are tested.

    Raises:
        pydantic.ValidationError: on construction, for an unknown field or a wrong value.
    """

    schema_url: str | None = Parameter(
        default=None,
        alias="$schema",
        description="For editors; it is not stored.",
        affects_outcome=False,
        exclude=True,
    )
    name: str | None = Parameter(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,199}$",
        description="Letters, digits and _ . + = -, at most 200, not starting with . + = or -.",
        affects_outcome=False,
    )
    seed: Seed = 42
    seeds: SeedOverrides = Field(default_factory=SeedOverrides)
    dataset: ComponentRef
    transform: Transform = Field(default_factory=Transform)
    backbone: ComponentRef
    loss: ComponentRef
    training: Training = Field(default_factory=Training)

    def resolved_seeds(self) -> Seeds:
        """The seed of each thing that is drawn."""
        own = {name: value for name, value in self.seeds if value is not None}
        return Seeds(**{"data": self.seed, "init": self.seed, "order": self.seed, **own})

    def to_json(self, indent: int | None = None) -> str:
        """The spec as JSON, as it is stored."""
        return self.model_dump_json(indent=indent)
