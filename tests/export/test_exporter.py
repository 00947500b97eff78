"""What an export leaves in the repository: folders, versions, records, cards."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from export import export_checkpoint, write_cards
from service.repository import ModelRepository
from tests.export.checkpoints import TRAINING, Exported, save_checkpoint
from training.evaluation import Evaluation, ModelFacts, Row

NAMES = ("zero_dce_improved", "zero_dce_improved_torchscript")


@pytest.fixture
def repository(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the exported repository that a test may change."""
    return Path(shutil.copytree(exported.repository, tmp_path / "models"))


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """An evaluation as `nightlift evaluate` writes it."""
    rows = (
        Row("input", "whole", 7.77, 0.195, 18.79, 0.4, None, 0.05, 0.0),
        Row("stretch and gamma", "whole", 17.12, 0.513, 20.83, 0.6, None, 0.47, 0.01),
        Row("zero_dce_improved", "whole", 15.61, 0.564, 20.53, 0.6, None, 0.4, 0.3),
        Row("zero_dce_improved", "guided", 15.774, 0.6111, 20.6, 0.65, None, 0.4, 0.04),
    )
    other = Row("drbn", "whole", 17.5, 0.78, 20.9, 0.8, None, 0.4, 2.0)
    best = Row("best", "whole", 16.2, 0.57, 20.4, 0.6, None, 0.4, 0.3)
    facts = ModelFacts("zero_dce_improved", "model.onnx", 101_000, "0" * 64, 23592, 1_540_000_000, 5_630_000_000)
    data = {"layout": "lolv1", "split": "test", "holdout": 0.0, "seed": 0, "pictures": 15, "output_gamma": False}
    machine = {"processor": "a processor", "threads": 2}
    file = tmp_path / "evaluation.json"
    file.write_text(
        Evaluation(
            data,
            machine,
            (*rows, other, best),
            (facts, replace(facts, name="drbn"), replace(facts, name="best", file="best.pt")),
        ).to_json()
    )
    return file


def test_every_file_is_there_and_nothing_else(exported: Exported) -> None:
    found = {str(path.relative_to(exported.repository)) for path in exported.repository.rglob("*") if path.is_file()}
    files = {"config.pbtxt", "MODEL_CARD.md", "NOTICE", "1/manifest.json", "1/parity.json"}
    assert found == {f"{name}/{file}" for name in NAMES for file in files} | {
        "zero_dce_improved/1/model.onnx",
        "zero_dce_improved/1/weights.safetensors",
        "zero_dce_improved_torchscript/1/model.pt",
    }


def test_the_service_finds_both(exported: Exported) -> None:
    repository = ModelRepository(exported.repository)
    assert repository.names() == sorted(NAMES)
    assert [repository.servable(name)[0].path for name in NAMES] == [exported.onnx, exported.torchscript]


def test_manifest_and_report_are_bound_to_the_file(exported: Exported) -> None:
    for file in (exported.onnx, exported.torchscript):
        digest = sha256(file.read_bytes()).hexdigest()
        manifest = json.loads((file.parent / "manifest.json").read_text())
        assert manifest["file"] == {"sha256": digest, "bytes": file.stat().st_size}
        assert json.loads((file.parent / "parity.json").read_text())["file_sha256"] == digest
        weights = {
            "sha256": sha256(exported.weights.read_bytes()).hexdigest(),
            "bytes": exported.weights.stat().st_size,
        }
        assert manifest["weights"] == weights
        assert manifest["checkpoint"]["sha256"] == sha256(exported.checkpoint.read_bytes()).hexdigest()
        assert manifest["network"]["parameters"] == 23_592


def test_no_folder_of_this_machine_is_told(exported: Exported) -> None:
    for path in exported.repository.rglob("*"):
        if path.suffix in {".json", ".md", ".pbtxt"} or path.name == "NOTICE":
            text = path.read_text()
            assert str(exported.checkpoint.parent) not in text
            assert "/somewhere" not in text
            assert "../" not in text
    manifest = json.loads((exported.onnx.parent / "manifest.json").read_text())
    assert manifest["training"]["data"]["image"]["folder"] == "zero_dce_train"
    assert manifest["training"]["command"].endswith("--out runs/it")


def test_card_tells_what_the_manifest_knows(exported: Exported) -> None:
    card = (exported.repository / "zero_dce_improved" / "MODEL_CARD.md").read_text()
    for fact in (
        "# zero_dce_improved",
        "Guo et al., CVPR 2020",
        "23,592",
        "- Weights: `weights.safetensors`, 96 kB",
        "nightlift train zero_dce_improved",
        "seed 1143",
        "20 minutes",
        "a processor",
        "no VGG16 weights were given",
        "SICE part 1",
        "Not measured yet",
        "no grant of commercial use",
    ):
        assert fact in card
    notice = (exported.repository / "zero_dce_improved" / "NOTICE").read_text()
    assert "Cai et al." in notice
    assert "CC BY-NC 4.0" in notice


def test_card_tells_of_every_stage(tmp_path: Path) -> None:
    first = {**TRAINING, "command": "nightlift train small --data LOLv1", "steps_done": 700, "git_revision": "abc"}
    first["recipe"] = {**TRAINING["recipe"], "title": "The small one", "data": {"pairs": {"layout": "lolv1"}}}
    checkpoint = torch.load(save_checkpoint(tmp_path / "best.pt"), weights_only=True)
    torch.save({**checkpoint, "manifest": {**TRAINING, "began_with": first}}, tmp_path / "best.pt")
    export_checkpoint(tmp_path / "best.pt", tmp_path / "models", formats=("onnx",), full_size=False)
    card = (tmp_path / "models/zero_dce_improved/MODEL_CARD.md").read_text()
    assert card.index("nightlift train small") < card.index("nightlift train zero_dce_improved")
    assert "- The small one: 700 steps, seed 1143, 20 minutes, code `abc`" in card
    assert "Data: LOLv1" in card  # the last stage has not seen it


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("best.pt", "- Chosen: step 300, held-out psnr 21.5"),
        ("final.pt", "- Chosen: the last step, by hand; the training's own choice was step 300, held-out psnr 21.5"),
    ],
)
def test_card_tells_which_step_was_chosen(file: str, told: str, tmp_path: Path) -> None:
    checkpoint = torch.load(save_checkpoint(tmp_path / file), weights_only=True)
    best = {"step": 300, "score": 21.5, "select": "psnr"}
    torch.save({**checkpoint, "manifest": {**TRAINING, "best": best}}, tmp_path / file)
    export_checkpoint(tmp_path / file, tmp_path / "models", formats=("onnx",), full_size=False)
    assert told in (tmp_path / "models/zero_dce_improved/MODEL_CARD.md").read_text().splitlines()


def test_scores_reach_card_and_listing_of_both_formats(repository: Path, scores: Path) -> None:
    assert [record.name for record in write_cards(repository, ["zero_dce_improved"], scores)] == list(NAMES)
    for name in NAMES:
        card = (repository / name / "MODEL_CARD.md").read_text()
        assert "| **zero_dce_improved** | guided | 15.77 | 0.611 | 20.60 | 0.650 | 0.040 |" in card
        assert "| stretch and gamma | whole | 17.12 |" in card
        assert "| its checkpoint `best.pt` in torch, before the output gamma | whole | 16.20 |" in card
        assert "drbn" not in card  # its own card has them
        assert "5.63 G at 400x600" in card
        assert "LOLv1 eval15" in card
        assert ModelRepository(repository).config(name).scores == {
            "data": "LOLv1 eval15",
            "detail": "guided",
            "psnr": 15.77,
            "ssim": 0.611,
            "psnr_gt_mean": 20.6,
            "ssim_gt_mean": 0.65,
        }


def test_scores_of_the_checkpoint_stand_in_for_those_of_the_model(
    exported: Exported, scores: Path, tmp_path: Path
) -> None:
    evaluation = json.loads(scores.read_text())
    evaluation["rows"] = [row for row in evaluation["rows"] if row["name"] == "best"]
    evaluation["data"]["output_gamma"] = True
    file = tmp_path / "best.json"
    best = evaluation["models"][-1]
    evaluation["models"] = [{**best, "sha256": sha256(exported.checkpoint.read_bytes()).hexdigest()}]
    file.write_text(json.dumps(evaluation))
    export_checkpoint(exported.checkpoint, tmp_path, formats=("onnx",), scores=file, full_size=False)
    assert ModelRepository(tmp_path).config("zero_dce_improved").scores["psnr"] == 16.2
    evaluation["models"] = [{**best, "sha256": "1" * 64}]
    file.write_text(json.dumps(evaluation))
    write_cards(tmp_path, ["zero_dce_improved"], file)
    assert "psnr" not in ModelRepository(tmp_path).config("zero_dce_improved").scores


def test_cards_written_again_are_the_same(repository: Path) -> None:
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    write_cards(repository)
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before


def test_cards_are_refused_for_models_that_are_not_there(repository: Path, scores: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no exported model is called night"):
        write_cards(repository, ["night"])
    with pytest.raises(ValueError, match="name the models"):
        write_cards(repository, scores=scores)


def export_torchscript(exported: Exported, repository: Path, **options: object) -> Path:
    report = export_checkpoint(exported.checkpoint, repository, formats=("torchscript",), full_size=False, **options)
    assert str(report.models[0].file) in str(report)
    return report.models[0].file


def test_versions_count_up_and_are_never_replaced_in_silence(exported: Exported, repository: Path) -> None:
    first = repository / NAMES[1] / "1" / "model.pt"
    assert export_torchscript(exported, repository) == repository / NAMES[1] / "2" / "model.pt"
    assert export_torchscript(exported, repository, version=7).parent.name == "7"
    assert export_torchscript(exported, repository).parent.name == "8"
    with pytest.raises(FileExistsError, match=r"zero_dce_improved_torchscript/1 exists"):
        export_torchscript(exported, repository, version=1)
    first.write_bytes(b"something else")
    assert export_torchscript(exported, repository, version=1, overwrite=True) == first
    assert first.read_bytes() == exported.torchscript.read_bytes()


def test_a_number_means_the_same_weights_in_every_format(exported: Exported, repository: Path) -> None:
    shutil.rmtree(repository / NAMES[1])
    alone = export_torchscript(exported, repository)
    assert alone == repository / NAMES[1] / "2" / "model.pt"
    assert (alone.parent / "weights.safetensors").read_bytes() == exported.weights.read_bytes()


def test_the_same_checkpoint_gives_the_same_file_under_any_name(exported: Exported, repository: Path) -> None:
    other = export_torchscript(exported, repository, name="night")
    assert other == repository / "night_torchscript" / "1" / "model.pt"
    assert other.read_bytes() == exported.torchscript.read_bytes()
    assert ModelRepository(repository).config("night_torchscript").traits.family == "zero_dce_improved"


def test_what_cannot_be_exported(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*missing\.pt"):
        export_checkpoint(tmp_path / "missing.pt", tmp_path / "models")
    with pytest.raises(ValueError, match=r"formats are tflite; choose from onnx, torchscript"):
        export_checkpoint(exported.checkpoint, tmp_path / "models", formats=("tflite",))
    with pytest.raises(ValueError, match="versions count from 1"):
        export_checkpoint(exported.checkpoint, tmp_path / "models", version=0)
    torch.save({"e_conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is not a training checkpoint"):
        export_checkpoint(tmp_path / "other.pt", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_data_that_nobody_knows_is_not_made_up(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path / "best.pt")
    content = torch.load(checkpoint, weights_only=True)
    content["manifest"]["data"]["image"]["folder"] = "my_photos"
    torch.save(content, checkpoint)
    export_checkpoint(checkpoint, tmp_path / "models", formats=("torchscript",), full_size=False)
    card = (tmp_path / "models" / NAMES[1] / "MODEL_CARD.md").read_text()
    assert "trained on data that is unknown to us" in card
    assert "SICE" not in card.partition("## Training")[2]
