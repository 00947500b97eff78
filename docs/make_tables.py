"""Write the tables of the documents that come from the code: settings, parameters, problem types, models.

    python -m docs.make_tables            writes them again
    python -m docs.make_tables --check    says which are stale, and exits with 1 if any is

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; everything else in a document is written by hand.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.enhancement import EnhanceOptions
from service.errors import NightliftError
from service.repository import ModelRepository
from service.settings import Settings
from training import load_recipe, networks, recipe_names

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PLACE = re.compile(r"(<!-- table: (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings() -> str:
    """Every setting, from service/settings.py."""
    rows = [
        (f"`NIGHTLIFT_{name.upper()}`", _default(name, field), _one_line(field.description))
        for name, field in Settings.model_fields.items()
    ]
    return _table(("variable", "default", ""), rows)


def parameters() -> str:
    """Every parameter of `POST /enhance`, from service/enhancement.py."""
    rows = [
        (f"`{name}`", _allowed(name), _default(name, field), _one_line(field.description))
        for name, field in EnhanceOptions.model_fields.items()
    ]
    return _table(("parameter", "allowed", "default", ""), rows)


def problems() -> str:
    """Every problem type, from service/errors.py."""
    kinds = sorted(_with_descendants(NightliftError), key=lambda kind: (kind.status, kind.slug))
    rows = []
    for kind in kinds:
        meaning = kind.title if kind is NightliftError else _one_line((kind.__doc__ or "").split("\n\n")[0])
        rows.append((str(int(kind.status)), f"`{kind.slug}`", f"`{kind.grpc_code}`", meaning))
    return _table(("HTTP", "problem type", "gRPC", ""), rows)


def network_sizes() -> str:
    """How pictures meet each network, from the registry and export/families."""
    rows = []
    for name in networks.names():
        spec = networks.spec(name)
        if spec.takes_answer:
            continue  # it meets no photo alone
        rows.append(
            (
                f"`{name}`",
                spec.title,
                f"{spec.spatial_scope}, {spec.halo} px" if spec.spatial_scope == "local" else spec.spatial_scope,
                str(spec.multiple),
                str(spec.working_side),
                f"{_max_pixels(name):,}",
            )
        )
    return _table(("network", "", "scope", "multiple", "`working_side`", "`max_pixels`"), rows)


def recipes() -> str:
    """Every recipe, from training/recipes."""
    rows = []
    for name in recipe_names():
        recipe = load_recipe(name)
        length = f"{recipe.steps:,} steps" if recipe.steps else f"{recipe.epochs:g} epochs"
        layouts = ", ".join(dict.fromkeys(f"`{stream.layout}`" for stream in recipe.data.values()))
        rows.append((f"`{name}`", recipe.title, layouts, length, recipe.starts_from or ""))
    return _table(("recipe", "", "data layout", "length", "starts from"), rows)


def model_cards() -> str:
    """Every model that is kept, all of them ONNX, with its card and its best measured scores."""
    repository = ModelRepository(ROOT / "model_repository")
    rows = []
    for name in repository.names():
        model = repository.servable(name)[-1]
        if model.config.backend != "onnxruntime" or not model.config.takes_pictures:
            continue  # made here, and not there in other clones; or scored as the model whose maps it makes
        scores = model.config.scores
        rows.append(
            (
                f"[`{name}`](../model_repository/{name}/MODEL_CARD.md)",
                model.config.traits.family,
                f"{model.path.stat().st_size / 1000:,.0f}",
                *(str(scores.get(key, "")) for key in ("psnr", "ssim", "psnr_gt_mean", "detail")),
            )
        )
    return _table(("model", "family", "kB", "PSNR", "SSIM", "PSNR, GT-mean", "detail"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "model_cards": model_cards,
    "networks": network_sizes,
    "parameters": parameters,
    "problems": problems,
    "recipes": recipes,
    "settings": settings,
}


def filled(text: str) -> str:
    """A document with its tables as they should be."""
    return PLACE.sub(lambda place: f"{place[1]}{TABLES[place['name']]()}\n{place[3]}", text)


def main() -> int:
    """See the module."""
    stale = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        if (fresh := filled(text)) != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(fresh, encoding="utf-8")
    print("stale: " + ", ".join(stale) if stale else "nothing is stale")
    return int(bool(stale) and "--check" in sys.argv)


def _with_descendants(kind: type[NightliftError]) -> Iterator[type[NightliftError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _with_descendants(child)


def _max_pixels(network: str) -> int:
    return tomllib.loads((ROOT / "export/families" / f"{network}.toml").read_text(encoding="utf-8"))["max_pixels"]


def _allowed(name: str) -> str:
    """The values that a parameter may have, from its JSON schema."""
    schema = EnhanceOptions.model_json_schema()
    entry = schema["properties"][name]
    choices = [choice for choice in entry.get("anyOf", [entry]) if choice.get("type") != "null"]
    return ", ".join(_values(choice, schema) for choice in choices)


def _values(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    if "const" in entry:
        return f"`{entry['const']}`"
    if "$ref" in entry:
        entry = schema["$defs"][entry["$ref"].rpartition("/")[2]]
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "maximum" in entry:
        return f"{entry['minimum']:g} to {entry['maximum']:g}"
    if entry["type"] == "integer":
        return f"{entry['minimum']} and more"
    return {"boolean": "true, false", "string": "a name"}[entry["type"]]


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if name == "model_repository":
        return "`model_repository` beside the code"
    if value is None or value is PydanticUndefined or value == ():
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= 10_000:
        return f"{value:,}".replace(",", " ")
    return f"{value:g}" if isinstance(value, int | float) else f"`{value}`"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
