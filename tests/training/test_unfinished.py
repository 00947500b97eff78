"""Trainings that are interrupted: by a time budget, by a signal, by a kill, and on another machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tests import pictures
from training import MAX_UNFINISHED_BYTES, UNFINISHED, TrainingResult, parse_duration, train, work_through
from training._compact_state import load_compact, save_compact
from training._journal import read_curve
from training.checkpoints import load_checkpoint

STEPS = 40

RECIPE = f"""
title: toy
network: zero_dce_improved
objective: {{name: zero_reference, settings: {{color_epsilon: 1.0e-9}}}}
data:
  image: {{layout: folder, transforms: {{resize: 32, flips: {{horizontal: 0.5}}}}}}
batch_size: 4
steps: {STEPS}
optimizers:
  network: {{lr: 3.0e-3, clip_norm: 0.1, schedule: {{shape: cosine, floor: 1.0e-4, warmup: 2}}}}
ema: 0.9
validation: {{fraction: 0.25, every: 8}}
log_every: 2
checkpoint_every: 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small dark pictures of four scenes, and the recipe."""
    root = tmp_path_factory.mktemp("work")
    data = root / "dark"
    data.mkdir()
    rows = ["file,scene"]
    for name in pictures.SCENES:
        for number in range(3):
            (data / f"{name}{number}.png").write_bytes(
                pictures.encoded(pictures.dark_scene(name, (40, 40), seed=number))
            )
            rows.append(f"{name}{number}.png,{name}")
    (data / "scenes.csv").write_text("\n".join(rows))
    (root / "toy.yaml").write_text(RECIPE)
    return root


def _train(folder: Path, out: Path, **options: object) -> TrainingResult:
    options = {"unfinished": out.parent / "unfinished", **options}
    return train(folder / "toy.yaml", folder / "dark", out, device="cpu", progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training without an interruption."""
    out = tmp_path_factory.mktemp("whole") / "toy"
    _train(folder, out)
    return out


def _curve(out: Path, name: str = "train/loss") -> list[tuple[int, float]]:
    return read_curve(out / "curve.csv")[name]


def _weights(file: Path) -> Mapping[str, torch.Tensor]:
    weights: Mapping[str, torch.Tensor] = load_checkpoint(file)["state_dict"]
    return weights


def test_a_budget_ends_a_training_cleanly_and_the_same_command_finishes_it(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    out, state = tmp_path / "toy", tmp_path / "unfinished" / "toy.pt"
    first = _train(folder, out, budget=0.0, keep_compact=True)
    assert not first.finished
    assert first.manifest["steps_done"] == 0
    assert (out / "last.ckpt").is_file()
    assert state.is_file()
    assert not (out / "final.pt").exists()
    second = _train(folder, out, budget=600.0, keep_compact=True)
    assert second.finished
    assert not state.exists()  # it is done
    assert _curve(out) == _curve(whole)


def test_a_budget_leaves_time_for_what_its_longest_step_takes(folder: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    result = _train(folder, tmp_path / "toy", budget=16.0)  # of which fifteen seconds are kept in reserve
    assert time.monotonic() - began < 16
    assert result.manifest["steps_done"] < STEPS or result.finished


def test_another_machine_goes_on_from_the_compact_state(folder: Path, whole: Path, tmp_path: Path) -> None:
    state = tmp_path / "unfinished" / "toy.pt"
    here = tmp_path / "toy"
    _train(folder, here, stop_after=STEPS // 2, keep_compact=True)
    there = tmp_path / "there" / "toy"  # a clone that has the state alone
    result = _train(folder, there, unfinished=state.parent)
    assert result.finished
    assert not state.exists()
    both, alone = _curve(there), _curve(whole)
    assert [step for step, _ in both] == [step for step, _ in alone]
    half = len(alone) // 2
    assert both[:half] == alone[:half]  # the curve came with it
    for (_, now), (_, then) in zip(both[half:], alone[half:], strict=True):
        assert now == pytest.approx(then, rel=2e-3)  # rounded weights, but the same pictures and the same schedule
    assert (there / "best.pt").is_file()
    assert result.manifest["best"]["step"] in range(8, STEPS + 1, 8)


def test_two_halves_are_one_whole_to_the_last_bit(folder: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy"
    _train(folder, out, stop_after=STEPS // 2)
    _train(folder, out)
    assert _curve(out) == _curve(whole)
    assert _curve(out, "validation/loss") == _curve(whole, "validation/loss")
    for name, value in _weights(whole / "final.pt").items():
        assert torch.equal(_weights(out / "final.pt")[name], value), name


def test_a_killed_training_goes_on(folder: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy"
    code = f"""
        from pathlib import Path
        from training import train
        train(Path({str(folder / "toy.yaml")!r}), Path({str(folder / "dark")!r}), Path({str(out)!r}), device="cpu",
              workers=1, unfinished=Path({str(tmp_path)!r}))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:  # a line for every second step
        if line.startswith("10/"):
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.read()
    assert process.wait() == -signal.SIGKILL
    assert not (out / "final.pt").exists()
    result = _train(folder, out)
    assert result.finished
    assert _curve(out) == _curve(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_training_ends_it_after_a_step(
    folder: Path, whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out, state = tmp_path / "toy", tmp_path / "unfinished" / "toy.pt"
    # The command itself, but for the folder of compact states, which is under version control.
    (tmp_path / "command.py").write_text(
        textwrap.dedent(f"""
            from pathlib import Path
            import training._compact_state
            training._compact_state.UNFINISHED = Path({str(state.parent)!r})
            from nightlift.cli import main
            if __name__ == "__main__":
                main()
        """)
    )
    words = ["train", folder / "toy.yaml", "--data", folder / "dark", "--out", out, "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, tmp_path / "command.py", *words],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:  # a line for every second step
        if line.startswith("10/"):
            os.killpg(process.pid, number)  # as a terminal does, to the processes that prepare batches as well
            break
    told = process.stderr.read()
    assert process.wait() == 128 + number, told
    done = torch.load(out / "last.ckpt", weights_only=True)["step"]
    assert 10 <= done < STEPS
    assert load_compact(state)["step"] == done
    assert f"{done} of {STEPS} steps are done; the same command resumes from there" in told
    assert _train(folder, out).finished
    assert not state.exists()
    assert _curve(out) == _curve(whole)


def test_prepared_ahead_or_not_the_training_is_the_same(folder: Path, whole: Path, tmp_path: Path) -> None:
    _train(folder, tmp_path / "toy", workers=2, stop_after=8)
    assert _curve(tmp_path / "toy") == _curve(whole)[:4]


def test_a_compact_state_is_small_and_close(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = {"conv.weight": 0.1 * torch.randn(64, 64, 3, 3), "conv.bias": torch.randn(8), "count": torch.tensor(3)}
    average = {name: value + 1e-3 * torch.randn(value.shape) for name, value in weights.items() if value.ndim} | {
        "count": weights["count"]
    }
    moments = {
        "step": torch.tensor(7.0),
        "exp_avg": 1e-3 * torch.randn(64, 64, 3, 3),
        "exp_avg_sq": torch.rand(36864),
    }
    state = {
        "step": 7,
        "objective": {f"network.{name}": value for name, value in weights.items()},
        "optimizers": {"network": {"state": {0: moments}, "param_groups": [{"lr": 0.1}]}},
        "average": {"updates": 7, "values": average},
        "best_weights": weights,
    }
    file = tmp_path / "state.pt"
    save_compact(file, state)
    assert file.stat().st_size < 7 * 36864
    again = load_compact(file)
    assert again["step"] == 7
    assert again["objective"]["network.count"] == 3
    assert torch.equal(again["objective"]["network.conv.bias"], weights["conv.bias"])
    torch.testing.assert_close(
        again["objective"]["network.conv.weight"], weights["conv.weight"], atol=1e-6, rtol=2**-11
    )
    torch.testing.assert_close(again["average"]["values"]["conv.weight"], average["conv.weight"], atol=2e-4, rtol=0)
    torch.testing.assert_close(again["best_weights"]["conv.weight"], weights["conv.weight"], atol=2e-4, rtol=0)
    restored = again["optimizers"]["network"]["state"][0]
    torch.testing.assert_close(restored["exp_avg"], moments["exp_avg"], atol=1e-9, rtol=2**-8)
    assert restored["step"] == 7
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not the state of an unfinished training"):
        load_compact(file)


def test_committed_states_are_few() -> None:
    assert sum(file.stat().st_size for file in UNFINISHED.glob("*.pt")) <= MAX_UNFINISHED_BYTES


def test_a_queue_is_worked_through_and_says_what_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    queue = tmp_path / "queue.yaml"
    recipe = folder / "toy.yaml"
    queue.write_text(
        f"data: {{image: {folder / 'dark'}, others: {folder}}}\n"
        "trainings:\n"
        f"  - {{recipe: {recipe}, steps: 4}}\n"
        f"  - {{recipe: {recipe}, steps: 6, out: runs/second, start_from: runs/toy/final.pt}}\n"
    )
    options = {"device": "cpu", "progress": False, "unfinished": tmp_path / "unfinished"}
    report = work_through(queue, 0.0, **options)
    assert not report.finished
    assert "| `runs/toy` | not begun | |" in report.table()
    report = work_through(queue, 14.0, **options)  # less than what is kept in reserve: begun, and ended at once
    assert "| `runs/toy` | 0 of 4 steps |" in report.table()
    report = work_through(queue, None, **options)
    assert report.finished
    assert [training.done for training in report.trainings] == [4, 6]
    assert _weights(Path("runs/second/final.pt")).keys() == _weights(Path("runs/toy/final.pt")).keys()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("trainings: []", "trainings"),
        ("trainings: [{recipe: toy, colour: red}]", "colour"),
        ("trainings: [{recipe: zero_dce}]", "says where its data is"),
        ("{", "is not YAML"),
    ],
)
def test_a_wrong_queue_is_refused(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=told):
        work_through(file, None)
    with pytest.raises(FileNotFoundError, match="nothing"):
        work_through(tmp_path / "nothing", None)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("150m", 9000), ("2h", 7200), ("1h30m", 5400)])
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "m", "1d", "2h 5m", "-3m"])
def test_what_is_not_a_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
