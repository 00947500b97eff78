"""Scores of a network on held-out samples, by set, and their mean, by which the best checkpoint is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.datasets import Sample, held_out_batches, read_picture
from training.losses.fidelity import match_brightness
from training.objectives import Objective, paired_scores
from training.recipe import Recipe, ValidationSet

if TYPE_CHECKING:
    from training.evaluation import EvaluatedModel

ToDevice = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class Validation:
    """The held-out samples of a recipe, ready to be scored."""

    def __init__(self, recipe: Recipe, samples: Mapping[str, Sequence[Sample]], fields: Mapping[str, str]) -> None:
        """
        Args:
            recipe: the checked recipe.
            samples: by set; without sets there are no scores.
            fields: name in the batch -> field of the sample, of the first stream.

        Raises:
            ValueError: a set that is rendered has no pairs.
        """
        self._recipe = recipe
        self._sets: dict[str, tuple[ValidationSet, Any]] = {}
        for name, settings in recipe.validation_sets().items():
            if settings.detail is None:
                self._sets[name] = settings, list(_batches(recipe, settings, samples[name], fields))
                continue
            if not {"low", "high"} <= samples[name][0].files.keys():
                raise ValueError(
                    f"validation.sets.{name} is rendered {settings.detail}, which takes pairs of low and high; "
                    f"its samples have {', '.join(samples[name][0].files)}"
                )
            self._sets[name] = settings, list(samples[name])

    def scores(self, objective: Objective, network: nn.Module, to_device: ToDevice) -> dict[str, float]:
        """Mean scores by name, and where there are several sets those of each as `<set>/<name>`.

        Args:
            objective: measures sets without a detail, its network as it is to be exported.
            network: the same network.
            to_device: makes float pictures of a batch.
        """
        by_set = {
            name: _measured(objective, to_device, content)
            if settings.detail is None
            else _rendered(network, self._recipe, settings.detail, content)
            for name, (settings, content) in self._sets.items()
        }
        common = set[str].intersection(*(set(scores) for scores in by_set.values())) if by_set else set()
        total = sum(settings.weight for settings, _ in self._sets.values())
        means = {
            score: sum(self._sets[name][0].weight * scores[score] for name, scores in by_set.items()) / total
            for score in sorted(common)
        }
        if len(by_set) > 1:
            means |= {f"{name}/{score}": value for name, scores in by_set.items() for score, value in scores.items()}
        return means


def _batches(recipe: Recipe, settings: ValidationSet, samples: Sequence[Sample], fields: Mapping[str, str]) -> Any:
    transforms = recipe.data[settings.data].transforms
    if settings.resize is not None:
        transforms = transforms.model_copy(
            update={"resize": None if settings.resize == "native" else settings.resize}
        )
    return held_out_batches(samples, transforms, fields, recipe.batch_size)


def _measured(objective: Objective, to_device: ToDevice, batches: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    count = 0
    for batch in batches:
        size = len(next(iter(batch.values())))
        for name, value in objective.validate(to_device(batch)).items():
            totals[name] = totals.get(name, 0.0) + float(value) * size
        count += size
    return {name: total / count for name, total in totals.items()}


def _rendered(network: nn.Module, recipe: Recipe, detail: str, samples: Sequence[Sample]) -> dict[str, float]:
    """Pictures of their own size, as the service answers them at strength 1 with nothing protected."""
    from service.rendering import Detail  # loads the service's kernels, which trainings without such sets do not need
    from training.evaluation import network_as_model

    model: EvaluatedModel = network_as_model(network, recipe.network, recipe.options)
    totals: dict[str, float] = {}
    for sample in samples:
        low, high = read_picture(sample.files["low"]), read_picture(sample.files["high"])
        result, reference = (
            torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
            for pixels in (model.render(low, Detail(detail)), high)
        )
        matched = paired_scores(match_brightness(result, reference), reference)
        scores = paired_scores(result, reference) | {f"{name}_matched": value for name, value in matched.items()}
        for name, value in scores.items():
            totals[name] = totals.get(name, 0.0) + float(value) / len(samples)
    return totals
