"""MODEL_CARD.md and NOTICE: what to know before using a model, from its records and `families/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from export._card_use import use
from export._families import DataSet, Family, data_sets, family, grant, training_stages
from export._graphs import Graph
from export._records import Record
from training import networks
from training.checkpoints import WEIGHTS

RESEARCH_ONLY = "This data was published for research, so the weights come with no grant of commercial use."


def licence_line(training: dict[str, Any], name: str) -> str:
    """One line for listings on what the weights may be used for."""
    if _is_published(training):
        return f"Published weights of the authors: {family(name).upstream_terms}."
    data = "; ".join(data.title.split(",")[0] for data in data_sets(training)) or "data unknown to us"
    if grant(training):
        return f"Code and weights Apache-2.0. Weights trained on {data}; authors in ATTRIBUTION."
    return f"Code Apache-2.0. Weights trained on {data}: research data, no grant of commercial use."


def best_scores(record: Record) -> dict[str, Any]:
    """The better of a model's rows (whole or guided, by PSNR), rounded, for listings; empty where there is none.

    If the exported model was not measured, the rows are those of its checkpoint.
    """
    scores, manifest = record.scores, record.manifest
    rows = _rows_of(scores, {manifest["scored_as"]})
    if not rows and scores.get("data", {}).get("output_gamma", True):
        checkpoint = manifest["checkpoint"]["sha256"]
        rows = _rows_of(scores, {fact["name"] for fact in scores.get("models", []) if fact["sha256"] == checkpoint})
    if not rows:
        return {}
    best = max(rows, key=lambda row: row["psnr"])
    digits = {"psnr": 2, "ssim": 3, "psnr_gt_mean": 2, "ssim_gt_mean": 3}
    return {"data": _data_title(scores), "detail": best["detail"]} | {
        key: round(best[key], places) for key, places in digits.items()
    }


def _rows_of(scores: dict[str, Any], names: set[str]) -> list[dict[str, Any]]:
    return [row for row in scores.get("rows", []) if row["name"] in names and row.get("psnr") is not None]


def model_card(record: Record) -> str:
    """The model's card in Markdown."""
    manifest = record.manifest
    prose, spec = family(manifest["family"]), networks.spec(manifest["family"])
    sections = [
        f"# {record.name}",
        f"{spec.title}, version {record.folder.name}, as {_format_title(manifest)}.",
        prose.summary.strip().replace("\n", " "),
        _bullets(_facts(record, prose)),
        "## Use",
        *use(record),
        "This is not a forensic or medical tool: what it shows in dark areas is an estimate. Limits:",
        _bullets(prose.limits),
        "## Scores",
        *_scores(record),
        *_reported(prose),
        "## Training",
        *_training(manifest["training"], manifest["checkpoint"]["files"]),
        "## Exactness",
        *_exactness(record),
        "## Licence",
        *_licence(record, prose),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def notice(record: Record) -> str:
    """The NOTICE beside the weights, as plain text."""
    training, prose = record.manifest["training"], family(record.manifest["family"])
    lines = [f"Model weights: {record.name}", "", *_licence(record, prose)]
    lines += [f"Trained on: {data.title}. {data.citation}. Terms: {data.terms}." for data in data_sets(training)]
    return "\n\n".join(line for line in lines if line) + "\n"


def _facts(record: Record, prose: Family) -> Iterator[str]:
    manifest = record.manifest
    spec = networks.spec(manifest["family"])
    yield f"Paper: {spec.paper}"
    if prose.upstream:
        yield f"Authors' code: <{prose.upstream}>"
    yield f"Parameters: {manifest['network']['parameters']:,}"
    file = manifest["file"]
    yield f"File: `{record.file.name}`, {file['bytes'] / 1000:,.0f} kB, sha256 `{file['sha256']}`"
    if (record.folder / WEIGHTS).is_file():
        weights = manifest["weights"]
        yield f"Weights: `{WEIGHTS}`, {weights['bytes'] / 1000:,.0f} kB, sha256 `{weights['sha256']}`"
    if spec.output_gamma != 1.0:
        yield f"The output is raised to the power {spec.output_gamma} inside the model, as its author publishes it."


def _scores(record: Record) -> Iterator[str]:
    if record.graph is Graph.MAPS:
        yield f"See `{record.manifest['scored_as']}`, which is served through this model."
        return
    if not record.scores:
        yield "Not measured yet: run `nightlift evaluate`, then add the scores by `python -m export.card --scores`."
        return
    others = _other_models(record)
    rows = [
        (
            _row_title(record, row["name"]),
            row["detail"],
            _number(row["psnr"], 2),
            _number(row["ssim"], 3),
            _number(row["psnr_gt_mean"], 2),
            _number(row["ssim_gt_mean"], 3),
            _number(row["niqe"], 2),
            _number(row["seconds"], 3),
        )
        for row in record.scores["rows"]
        if row["name"] not in others
    ]
    heads = ("", "detail", "PSNR dB", "SSIM", "PSNR, GT-mean", "SSIM, GT-mean", "NIQE", "s a picture")
    yield f"On {_data_title(record.scores)}; the rows without a network are baselines."
    yield _table(heads, rows)
    costs = [fact for fact in record.scores["models"] if fact["name"] == record.manifest["scored_as"]]
    for fact in costs:
        if fact["macs_400x600"]:
            yield (
                f"Multiply-accumulates: {fact['macs_256'] / 1e9:.2f} G at 256x256, "
                f"{fact['macs_400x600'] / 1e9:.2f} G at 400x600."
            )
    machine = record.scores["machine"]
    yield f"Measured on {machine['processor']}, threads: {machine['threads']}. {record.scores['conventions']}"


def _other_models(record: Record) -> set[str]:
    """Models that were measured in the same run; their scores are in their own cards."""
    files = {fact["name"]: fact["file"] for fact in record.scores["models"]}
    return {
        name
        for name, file in files.items()
        if name != record.manifest["scored_as"] and file in ("model.onnx", "model.pt")
    }


def _row_title(record: Record, name: str) -> str:
    """The model itself in bold; a checkpoint measured without the output gamma is marked as such."""
    if name == record.manifest["scored_as"]:
        return f"**{name}**"
    files = [fact["file"] for fact in record.scores["models"] if fact["name"] == name]
    if files and files[0].endswith(".pt") and not record.scores["data"].get("output_gamma", True):
        return f"its checkpoint `{files[0]}` in torch, before the output gamma"
    return str(name)


def _reported(prose: Family) -> Iterator[str]:
    if prose.reported:
        yield "Figures reported elsewhere, each measured by its source's own conventions:"
        yield _table(("source", "figures"), [(entry.source, entry.figures) for entry in prose.reported])


def _training(training: dict[str, Any], files: list[str]) -> Iterator[str]:
    if _is_published(training):
        yield f"The authors' own weights, read from {', '.join(f'`{file}`' for file in training['files'])}."
        return
    *before, training = training_stages(training)
    commands = "\n".join(stage["command"] for stage in (*before, training) if not _is_published(stage))
    yield f"```\n{commands}\n```"
    if before:
        yield "Earlier stages; each stage started from the weights of the one before:"
        yield _bullets(
            f"{stage['recipe']['title']}: {stage['steps_done']:,} steps, seed {stage['seed']}, "
            f"{stage['seconds'] / 60:,.0f} minutes, code `{stage['git_revision']}`"
            + "".join(f"; {note}" for note in stage.get("notes", []))
            for stage in before
            if not _is_published(stage)
        )
        yield "The last stage:"
    sets = data_sets(training)
    counts = " + ".join(f"{stream['samples']:,}" for stream in training["data"].values())
    held_out = next(iter(training["data"].values()))["held_out"]
    machine = f"{training['processor']}, threads: {training['threads']}"
    yield _bullets(
        [
            f"Recipe: {training['recipe']['title']}, {training['recipe']['precision']}, "
            f"batches of {training['recipe']['batch_size']}",
            *(f"Data: {data.title}" for data in sets),
            f"Pictures: {counts} for training, {held_out:,} held out to choose the checkpoint",
            f"Steps: {training['steps_done']:,} of {training['steps']:,}, seed {training['seed']}, "
            f"{training['seconds'] / 60:,.0f} minutes",
            f"Hardware: {machine if training['device'] == 'cpu' else training['device']}",
            f"Code: `{training['git_revision']}`",
            *_choice(training, files),
            *(str(note) for note in training.get("notes", [])),
        ]
    )


def _choice(training: dict[str, Any], files: list[str]) -> Iterator[str]:
    """Which step's weights these are, and what the best step scored where the training held pictures out."""
    if best := training.get("best"):
        score = f"step {best['step']:,}, held-out {best['select']} {best['score']:.4g}"
        if files == ["final.pt"] and best["step"] != training["steps_done"]:
            yield f"Chosen: the last step, by hand; the training's own choice was {score}"
        else:
            yield f"Chosen: {score}"


def _exactness(record: Record) -> Iterator[str]:
    worst = record.parity.worst
    sizes = {(row.height, row.width) for row in record.parity.differences}
    judged = {
        Graph.PICTURES: "",
        Graph.MAPS: " rendered through its maps at exposures from -2 to 2,",
        Graph.RESTORER: " brightened twofold and corrected,",
    }[record.graph]
    largest = f"{worst.maximum} code value{'' if worst.maximum == 1 else 's'} of 255"
    yield (
        f"The file was compared with its network in torch on synthetic pictures of {len(sizes)} sizes from "
        f"{_size(min(sizes))} to {_size(max(sizes))},{judged} alone and in batches of three. The largest difference "
        f"is {largest}; where it occurs, {worst.share:.3%} of the values differ. `parity.json` has every measurement."
    )


def _licence(record: Record, prose: Family) -> Iterator[str]:
    training = record.manifest["training"]
    if granted := grant(training):
        yield _trained_on(data_sets(training))
        yield from granted.split("\n\n")
        return
    yield "The code is under the Apache License 2.0, which covers the code only."
    if _is_published(training):
        yield f"The weights are the authors', under their terms: {prose.upstream_terms}. Do not redistribute them."
        return
    sets = data_sets(training)
    yield _trained_on(sets)
    yield RESEARCH_ONLY if sets else "We cannot say what that allows."


def _trained_on(sets: Sequence[DataSet]) -> str:
    if not sets:
        return "The weights were trained on data that is unknown to us; ask whoever trained them."
    return "We trained the weights on " + "; ".join(f"{data.title} ({data.terms})" for data in sets) + "."


def _is_published(training: dict[str, Any]) -> bool:
    return training.get("source") == "published checkpoint"


def _format_title(manifest: dict[str, Any]) -> str:
    return {"onnx": "ONNX", "torchscript": "TorchScript"}[manifest["format"]]


def _data_title(scores: dict[str, Any]) -> str:
    data = scores["data"]
    if (data["layout"], data["split"], data["pictures"]) == ("lolv1", "test", 15):
        return "LOLv1 eval15"
    return f"{data['pictures']} pictures of {data['layout']}, {data['split']} split"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _bullets(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that are empty throughout are left out."""
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    lines = [[heads[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
