"""A network that predicts colour maps, from the checkpoint to two models that agree with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2 as pb

from export import ParityError, changed_files, export_checkpoint, make_torchscript, remeasure, write_cards
from export._comparison import checked, stops_of
from export._records import read_record
from service.contract import AFFINE, BRIGHTNESS, ENHANCED, EVIDENCE, EXPOSURE, IMAGE, PROXY
from service.inference import open_runner
from service.repository import ModelRepository, read_config
from tests.map_models import NAME, OPTIONS, PAIR, SCRIPTED_PAIR, lively_network
from tests.pictures import dark_scene
from training import networks
from training.checkpoints import WEIGHTS, build_network, load_checkpoint
from training.networks import shrink
from training.networks.nightlift import evidence

SIZES = ((16, 16), (24, 40), (168, 256), (192, 256), (256, 256))
"""(height, width) of proxies; of the first two an eighth, or a sixteenth, is odd."""

Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def models(map_models: Path) -> Path:
    return map_models / "models"


def seen(size: tuple[int, int], count: int = 1) -> Arrays:
    """What guided rendering sends of so many photos, which are three times as large as their proxy."""
    photos = np.stack([dark_scene("coffee", (3 * size[0], 3 * size[1])) // (1 + number) for number in range(count)])
    pictures = torch.tensor(photos).permute(0, 3, 1, 2) / 255
    return {
        PROXY: shrink(pictures, *size).permute(0, 2, 3, 1).numpy().copy(),
        EVIDENCE: evidence(pictures, *size).permute(0, 2, 3, 1).numpy().copy(),
        EXPOSURE: np.linspace(-1.5, 1.5, count, dtype=np.float32)[:, None],
    }


def in_torch(models: Path, inputs: Arrays) -> Arrays:
    """What the network itself makes of it."""
    network = build_network(load_checkpoint(models / NAME / "1" / WEIGHTS)).eval()
    proxy, hidden = (torch.tensor(inputs[name]).permute(0, 3, 1, 2) for name in (PROXY, EVIDENCE))
    with torch.inference_mode():
        affine, guess = network.affine(proxy, hidden, None, torch.tensor(inputs[EXPOSURE]))  # type: ignore[operator]
    return {AFFINE: affine.permute(0, 2, 3, 1).numpy(), BRIGHTNESS: guess.numpy()}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", [PAIR[1], SCRIPTED_PAIR[1]])
def test_maps_are_the_networks_at_every_size_alone_and_in_batches(models: Path, name: str, count: int) -> None:
    runner = open_runner(ModelRepository(models).servable(name)[-1], "cpu", 1)
    for size in SIZES:
        inputs = seen(size, count)
        answer, expected = runner.run(inputs, (AFFINE, BRIGHTNESS)), in_torch(models, inputs)
        assert answer[AFFINE].shape == (count, *size, 16)
        assert answer[BRIGHTNESS].shape == (count, 1)
        assert expected[AFFINE].std(axis=(0, 1, 2)).max() > 0.05  # not the same everywhere
        for output in (AFFINE, BRIGHTNESS):
            np.testing.assert_allclose(answer[output], expected[output], rtol=1e-3, atol=1e-4)
    runner.close()


def test_the_wanted_exposure_changes_the_map_and_not_the_guess(models: Path) -> None:
    runner = open_runner(ModelRepository(models).servable(PAIR[1])[-1], "cpu", 1)
    inputs = seen((64, 96))
    answers = [runner.run({**inputs, EXPOSURE: np.float32([[stops]])}, (AFFINE, BRIGHTNESS)) for stops in (-2, 0, 2)]
    runner.close()
    gains = [answer[AFFINE][..., :3].mean() for answer in answers]
    assert gains[0] < 0.9 * gains[1] < 0.8 * gains[2]
    for answer in answers:
        np.testing.assert_allclose(answer[BRIGHTNESS], answers[1][BRIGHTNESS], atol=1e-5)


@pytest.mark.parametrize("name", [PAIR[0], SCRIPTED_PAIR[0]])
@pytest.mark.parametrize("size", [(37, 50), (168, 256), (300, 450)])
def test_pictures_are_the_networks_own(models: Path, name: str, size: tuple[int, int]) -> None:
    photos = np.stack([dark_scene("coffee", size), dark_scene("astronaut", size)])
    network = build_network(load_checkpoint(models / NAME / "1" / WEIGHTS)).eval()
    with torch.inference_mode():
        expected = network(torch.tensor(photos).permute(0, 3, 1, 2) / 255).permute(0, 2, 3, 1).clamp(0, 1).numpy()
    runner = open_runner(ModelRepository(models).servable(name)[-1], "cpu", 1)
    answer = runner.run({IMAGE: photos}, (ENHANCED, AFFINE))
    runner.close()
    assert np.abs(255 * expected - photos).mean() > 4
    assert np.abs(answer[ENHANCED] - 255 * expected).max() < 0.6
    assert answer[AFFINE].shape == (2, *networks.proxy_size(*size, 256), 16)


def test_the_pair_is_declared_as_it_is(models: Path) -> None:
    for pictures, maps in (PAIR, SCRIPTED_PAIR):
        first, second = read_config(models / pictures), read_config(models / maps)
        assert first.takes_pictures
        assert (first.traits.map_model, first.traits.max_pixels) == (maps, 0)
        assert not second.takes_pictures
        assert second.same_size == (PROXY, EVIDENCE)
        assert {spec.name: (spec.datatype, spec.dims) for spec in second.inputs} == {
            PROXY: ("FP32", (-1, -1, 3)),
            EVIDENCE: ("FP32", (-1, -1, 3)),
            EXPOSURE: ("FP32", (1,)),
        }
        assert [(spec.name, spec.dims) for spec in second.outputs] == [(AFFINE, (-1, -1, 16)), (BRIGHTNESS, (1,))]
        assert [tensor.shape for tensor in second.warmup[0].inputs] == [(1, 168, 256, 3)] * 2 + [(1, 1)]
        config = text_format.Parse((models / maps / "config.pbtxt").read_text(), pb.ModelConfig())
        assert config.dynamic_batching.default_queue_policy.max_queue_size > 0


def test_the_graphs_have_free_axes_and_plain_operators(models: Path) -> None:
    for name in PAIR:
        proto = onnx.load(models / name / "1" / "model.onnx")
        assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 18)]
        assert not {"If", "Loop", "Scan"} & {node.op_type for node in proto.graph.node}
    session = onnxruntime.InferenceSession(models / PAIR[1] / "1" / "model.onnx")
    assert {one.name: (one.type, one.shape) for one in (*session.get_inputs(), *session.get_outputs())} == {
        PROXY: ("tensor(float)", ["batch", "map_height", "map_width", 3]),
        EVIDENCE: ("tensor(float)", ["batch", "map_height", "map_width", 3]),
        EXPOSURE: ("tensor(float)", ["batch", 1]),
        AFFINE: ("tensor(float)", ["batch", "map_height", "map_width", 16]),
        BRIGHTNESS: ("tensor(float)", ["batch", 1]),
    }


def test_the_records_speak_of_both(models: Path) -> None:
    assert changed_files(models) == []
    assert {path.parents[1].name for path in models.rglob(WEIGHTS)} == {NAME}
    for name in (PAIR[1], SCRIPTED_PAIR[1]):
        record = read_record(models / name / "1")
        assert (record.graph, record.manifest["scored_as"]) == ("maps", NAME)
        assert record.parity.worst.maximum <= 1
        card = (models / name / "MODEL_CARD.md").read_text()
        assert "`exposure`, stops relative to the brightness" in card
        assert f"See `{NAME}`" in card
        assert "research" in (models / name / "NOTICE").read_text()
    assert f"`{PAIR[1]}` instead" in (models / NAME / "MODEL_CARD.md").read_text()


def test_cards_are_written_again_as_they_were_and_scores_go_to_the_pictures(map_models: Path, tmp_path: Path) -> None:
    repository = copied(map_models, tmp_path)
    before = {path: path.read_text() for path in repository.glob("*/*.*")}
    assert {record.name for record in write_cards(repository, [NAME])} == {*PAIR, *SCRIPTED_PAIR}
    assert {path: path.read_text() for path in repository.glob("*/*.*")} == before


def test_a_pair_is_measured_again_from_the_kept_weights(map_models: Path, tmp_path: Path) -> None:
    repository = copied(map_models, tmp_path)
    record = read_record(repository / PAIR[1] / "1")
    assert remeasure(record, sizes=((37, 50),)).worst.maximum <= 1
    report = json.loads((repository / PAIR[1] / "1" / "parity.json").read_text())
    assert {(row["height"], row["width"]) for row in report["differences"]} == {(37, 50)}


def test_maps_of_other_weights_are_refused(map_models: Path, tmp_path: Path) -> None:
    repository = copied(map_models, tmp_path)
    file = repository / PAIR[1] / "1" / "model.onnx"
    proto = onnx.load(file)
    (affine,) = (node for node in proto.graph.node if AFFINE in node.output)
    doubled = onnx.helper.make_node("Add", [f"{AFFINE}_half", f"{AFFINE}_half"], [AFFINE])
    affine.output[0] = f"{AFFINE}_half"
    proto.graph.node.append(doubled)
    onnx.save(proto, file)
    with pytest.raises(ParityError, match=f"{PAIR[1]}/1/model.onnx differs by"):
        remeasure(read_record(repository / PAIR[1] / "1"), sizes=((37, 50),))


def test_another_guess_is_refused() -> None:
    answer = {AFFINE: np.zeros((1, 16, 16, 16), np.float32), BRIGHTNESS: np.zeros((1, 1), np.float32)}
    wrong = {**answer, BRIGHTNESS: answer[BRIGHTNESS] + 0.1}
    assert checked(lambda _: answer, lambda _: answer)({}) == answer
    with pytest.raises(ValueError, match=r"brightness differs by 0\.1 stops"):
        checked(lambda _: wrong, lambda _: answer)({})


def test_pictures_are_exposed_by_themselves_alone() -> None:
    batch = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (0, 51, 255)])
    np.testing.assert_allclose(stops_of(batch)[:, 0], [-2, -1.2, 2], atol=1e-6)
    np.testing.assert_array_equal(stops_of(batch[1:2]), stops_of(batch)[1:2])


def test_torchscript_variants_of_both_are_made_of_the_kept_weights(map_models: Path, tmp_path: Path) -> None:
    report = make_torchscript(map_models / "models", [NAME], tmp_path, full_size=False)
    assert [model.file.parents[1].name for model in report.models] == [SCRIPTED_PAIR[1], SCRIPTED_PAIR[0]]
    kept = load_checkpoint(map_models / "models" / NAME / "1" / WEIGHTS)["state_dict"]
    for name in SCRIPTED_PAIR:
        inside = load_checkpoint(tmp_path / name / "1" / "model.pt")["state_dict"]
        assert inside.keys() == kept.keys()
        assert all(torch.equal(inside[part], weights) for part, weights in kept.items())


def test_a_new_version_counts_and_refuses_for_both(map_models: Path, tmp_path: Path) -> None:
    (tmp_path / PAIR[1] / "4").mkdir(parents=True)
    with pytest.raises(FileExistsError, match=PAIR[1]):
        export_checkpoint(map_models / "best.pt", tmp_path, name=NAME, version=4, full_size=False)
    assert [path.name for path in tmp_path.iterdir()] == [PAIR[1]]


def test_an_option_is_changed_at_export(map_models: Path, tmp_path: Path) -> None:
    options = {"smoothing": 0.5}
    export_checkpoint(
        map_models / "best.pt", tmp_path, options=options, name=NAME, formats=("onnx",), full_size=False
    )
    changed, kept = (load_checkpoint(root / NAME / "1" / WEIGHTS) for root in (tmp_path, map_models / "models"))
    assert changed["options"] == {**kept["options"], **options}
    command = json.loads((tmp_path / NAME / "1" / "manifest.json").read_text())["exported_by"]["command"]
    assert command.endswith("--option smoothing=0.5")


def test_an_option_that_the_network_lacks_is_refused(map_models: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not take the options .*grain"):
        export_checkpoint(map_models / "best.pt", tmp_path, options={"grain": 1}, full_size=False)


def test_options_of_the_fixture_are_those_of_the_checkpoint(models: Path) -> None:
    assert load_checkpoint(models / NAME / "1" / WEIGHTS)["options"] == OPTIONS
    assert lively_network().detail_gain == OPTIONS["detail_gain"]


def copied(map_models: Path, to: Path) -> Path:
    """A copy of the repository that a test may change."""
    return Path(shutil.copytree(map_models / "models", to / "models"))
