"""Recipes: everything that determines a training except the data's path, as YAML checked by pydantic.

    title: Zero-DCE as published
    network: zero_dce
    objective: {name: zero_reference, settings: {smoothness: 200}}
    data:
      image: {layout: folder, transforms: {resize: 256}}
    batch_size: 8
    epochs: 200
    optimizers:
      network: {kind: adam, lr: 1.0e-4, weight_decay: 1.0e-4, clip_norm: 0.1}

A recipe may begin with `extends: NAME`, one of ours, and then holds only what differs: mappings are merged, all other
values, lists too, are replaced.

Nightlift's recipes are in `training/recipes`; comments give the source of each value.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from training import networks
from training._schedules import Constant, Schedule
from training.datasets import Transforms, layout_names
from training.objectives import objective_settings

FOLDER = Path(__file__).parent / "recipes"

Count = Annotated[int, Field(ge=1)]

DEFAULT_FRACTION = 0.1
"""Default share of the first stream that is held out if a recipe validates."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ObjectiveRecipe(_Part):
    """The training procedure and its settings."""

    name: str
    settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> ObjectiveRecipe:
        objective_settings(self.name, self.settings)
        return self


def _known_layout(layout: str | None) -> str | None:
    if layout is not None and layout not in layout_names():
        raise ValueError(f"there is no layout {layout!r}; choose one of {', '.join(layout_names())}")
    return layout


class DataRecipe(_Part):
    """One stream of samples.

    Attributes:
        layout: how the folder is laid out, one of `training.datasets.layout_names()`.
        split: `train` or `test`.
        fields: name in the batch -> field of the sample; None: the layout's fields under their own names.
        transforms: what happens to each sample.
        batch_size: samples per step, if it differs from the recipe's.
        seed: added to the recipe's for this stream; without one, two streams of equal samples and batch sizes yield
            the same samples in every step.
    """

    layout: str
    split: str = "train"
    fields: dict[str, str] | None = None
    transforms: Transforms = Transforms()
    batch_size: Count | None = None
    seed: int = Field(0, ge=0)

    _layout_is_known = field_validator("layout")(_known_layout)


class OptimizerRecipe(_Part):
    """How one player learns.

    Attributes:
        kind: the optimiser.
        lr: base learning rate.
        betas: Adam's decay rates.
        momentum: of `sgd`.
        weight_decay: L2 penalty (`adam`, `sgd`) or decoupled decay (`adamw`).
        clip_norm: largest norm of the gradient over all the player's parameters; None: no clipping.
        schedule: how the rate changes.
    """

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    schedule: Schedule = Constant()


class ValidationSet(_Part):
    """Pairs that no stream trains on, and on which checkpoints are compared.

    Attributes:
        data: the stream whose folder is read.
        layout: of that folder; None: the stream's.
        split: `train`, of which `fraction` is held out, or `test`, which is held out entirely: for exposure
            sequences, those that their list marks in its column `holdout`.
        fraction: share of the samples held out, whole scenes at a time; the recipe's seed decides which.
        limit: most samples to score, spread over all; None: all.
        detail: `whole` or `guided`: pictures of their own size, rendered as in the service, scored by `psnr` and
            `ssim`, and both with equal mean brightness (`psnr_matched`, `ssim_matched`). None: the procedure's own
            scores, at `resize`.
        resize: with `detail` None: (height, width) or one number, if validation should run at another size than
            training; `native`: whole pictures as they are. None: training's `resize`.
        weight: of this set's scores in the mean by which the best checkpoint is chosen.
    """

    data: str
    layout: str | None = None
    split: Literal["train", "test"] = "train"
    fraction: float | None = Field(None, gt=0, lt=1)
    limit: Count | None = None
    detail: Literal["whole", "guided"] | None = None
    resize: Count | tuple[Count, Count] | Literal["native"] | None = None
    weight: float = Field(1.0, gt=0)

    _layout_is_known = field_validator("layout")(_known_layout)

    @model_validator(mode="after")
    def _check(self) -> ValidationSet:
        if (self.split == "train") != (self.fraction is not None):
            raise ValueError("give a fraction of the split train, or none and the split test")
        if self.detail is not None and self.resize is not None:
            raise ValueError("resize is for sets without a detail; with one, pictures keep their size")
        return self


class ValidationRecipe(_Part):
    """Held-out samples, and the choice of the best checkpoint.

    Attributes:
        every: steps between validations.
        sets: validation sets by name; the weighted mean of their scores decides.
        fraction, limit, resize: instead of `sets`, one set of the first stream, with the procedure's own scores.
        select: the score that decides which checkpoint is the best.
        mode: whether the highest or the lowest is best.
    """

    every: Count
    sets: dict[str, ValidationSet] = {}
    fraction: float | None = Field(None, gt=0, lt=1)
    limit: Count | None = None
    resize: Count | tuple[Count, Count] | Literal["native"] | None = None
    select: str = "loss"
    mode: Literal["min", "max"] = "min"

    @model_validator(mode="after")
    def _check(self) -> ValidationRecipe:
        if self.sets and (self.fraction, self.limit, self.resize) != (None, None, None):
            raise ValueError("give either sets, or fraction, limit and resize")
        return self


class Recipe(_Part):
    """A whole training.

    Attributes:
        title: one line for people.
        network: the registry's name of the network.
        options: keyword arguments of its builder.
        objective: the training procedure.
        data: streams by name; the first sets the length of an epoch. Streams with equal fields fill a batch together.
        batch_size: samples per step over all devices together.
        steps: length of the training; or instead
        epochs: the same in passes over the first stream.
        optimizers: one for each of the procedure's players.
        precision: of the networks' arithmetic; losses and optimisers stay in float32. `bf16-mixed` on a processor
            without instructions for it would be slower than float32, which is used there instead.
        channels_last: memory layout of pictures and weights; often faster in low precision.
        ema: decay per step of the running average of the network's weights, which is validated and exported instead
            of the last weights; None: no average.
        starts_from: required origin of the initial weights ("a trained `drbn`"); None: they are random.
        seed: decides weights, order of samples and everything random.
        compile: let torch compile the network, which takes a minute or more at the start and a C++ compiler; without
            one, the network runs as it is.
        validation: hold-out; None: all samples are used for training, and the last weights are exported.
        log_every: steps between points of the curves.
        checkpoint_every: steps between full checkpoints.
        preview_every: steps between sample pictures.
    """

    title: str
    network: str
    options: dict[str, Any] = {}
    objective: ObjectiveRecipe
    data: dict[str, DataRecipe] = Field(min_length=1)
    batch_size: Count
    steps: Count | None = None
    epochs: float | None = Field(None, gt=0)
    optimizers: dict[str, OptimizerRecipe]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = False
    compile: bool = False
    ema: float | None = Field(None, gt=0, lt=1)
    starts_from: str | None = None
    seed: int = Field(0, ge=0)
    validation: ValidationRecipe | None = None
    log_every: Count = 50
    checkpoint_every: Count = 1000
    preview_every: Count = 1000

    @field_validator("network")
    @classmethod
    def _known(cls, network: str) -> str:
        return networks.spec(network).name

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if "network" not in self.optimizers:
            raise ValueError("optimizers must have an entry 'network'")
        for name, held_out in (self.validation.sets if self.validation else {}).items():
            if held_out.data not in self.data:
                streams = ", ".join(self.data)
                raise ValueError(f"validation.sets.{name}.data is {held_out.data!r}; choose a stream of {streams}")
        return self

    def validation_sets(self) -> dict[str, ValidationSet]:
        """The sets on which the best checkpoint is chosen, by name; empty if the recipe holds nothing out."""
        settings = self.validation
        if settings is None or settings.sets:
            return dict(settings.sets) if settings else {}
        first = next(iter(self.data))
        fraction = settings.fraction or DEFAULT_FRACTION
        return {first: ValidationSet(data=first, fraction=fraction, limit=settings.limit, resize=settings.resize)}

    def total_steps(self, samples: int) -> int:
        """Number of steps, if the first stream has this many training samples."""
        if self.steps is not None:
            return self.steps
        first = next(iter(self.data.values()))
        assert self.epochs is not None
        return ceil(self.epochs * samples / (first.batch_size or self.batch_size))


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with Nightlift, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_recipe(name: str | Path) -> Recipe:
    """A recipe by its name, or from a YAML file.

    Raises:
        FileNotFoundError: there is no such recipe or file.
        ValueError: the recipe is wrong; the message names the field, and what is allowed.
    """
    path = FOLDER / f"{name}.yaml" if str(name) in recipe_names() else Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {name}; choose a file, or one of {', '.join(recipe_names())}")
    content = _read(path)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        fields = (f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors())
        raise ValueError(f"the recipe {path.name} is wrong\n  " + "\n  ".join(fields)) from error


def _read(path: Path, is_base: bool = False) -> Any:
    """A recipe's content, with what it takes over from the recipe that it extends."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is no YAML: {error}") from error
    if not isinstance(content, dict) or "extends" not in content:
        return content
    base = content.pop("extends")
    if is_base or base not in recipe_names():
        raise ValueError(f"{path.name}: extends is {base!r}; name one of our recipes that extends no other")
    return _merged(_read(FOLDER / f"{base}.yaml", is_base=True), content)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`: mappings are merged, everything else is replaced."""
    merged = {**base, **changes}
    for key in base.keys() & changes.keys():
        if isinstance(base[key], dict) and isinstance(changes[key], dict):
            merged[key] = _merged(base[key], changes[key])
    return merged
