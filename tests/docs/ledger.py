"""Who runs each command of the documents. `python -m tests.docs.ledger` prints it as a table.

The runners of the first lines take their commands from here, as the documents have them; for the others `evidence` is
text that their own file contains. A command that is nobody's, and a line here that has no command, fail a test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from tests.docs.documents import DOCUMENTS, commands


class Runner(StrEnum):
    """What runs a command: a file of this repository."""

    SERVICE = "tests/docs/test_commands.py"
    TRAINING = "tests/docs/test_training.py"
    REPEAT = "tests/training/test_repeat.py"
    NETWORK = "tests/docs/test_adding_a_network.py"
    OWN_TENSORS = "tests/docs/test_own_tensors.py"
    CLIENTS = "tests/clients/__main__.py"
    SLOW = "tests/docs/run_slow.py"

    RELIABILITY = "tests/reliability/run_short.py"
    BENCHMARKS = "tests/benchmarks/run_short.py"
    DOWNSTREAM = "tests/benchmarks/test_downstream.py"
    PUBLISHED = "tests/benchmarks/test_published.py"

    OPEN = "tests/training/datasets/test_open_photos.py"
    CI = ".ci/run"
    RAY = "tests/nightlift/bulk_on_ray.py"
    INSTALLATION = "tests/installation.py"
    COMPOSE = "docker/verify.sh"
    KUBECTL = "tests/docker/test_files.py"
    TRITON = "tests/engines/test_triton.py"
    KEYS = "tests/nightlift/test_keys.py"
    GUARDED = "tests/service/admission/conftest.py"
    TLS = "tests/service/admission/test_tls.py"


STARTED_BY = {
    Runner.CLIENTS: "python -m tests.clients",
    Runner.SLOW: "python -m tests.docs.run_slow",
    Runner.RELIABILITY: "python -m tests.reliability.run_short",
    Runner.BENCHMARKS: "python -m tests.benchmarks.run_short FOLDER",
    Runner.RAY: "make test-ray",
    Runner.INSTALLATION: "python -m tests.installation",
    Runner.COMPOSE: "docker/verify.sh",
}
"""Runner -> its command; the others are part of `make test` or of CI."""


@dataclass(frozen=True)
class Entry:
    """Commands of one kind.

    Attributes:
        pattern: regular expression of the whole command.
        runner: who runs them.
        difference: what is other than in the document, beside ports, folders of data and pictures.
        evidence: text in the runner's file, where it does not take its commands from here.
    """

    pattern: str
    runner: Runner
    difference: str = ""
    evidence: str = ""


ENTRIES = (
    Entry(r"curl (-(sf|fsS) )?(--data-binary|-F) .*", Runner.SERVICE),
    Entry(r"curl -s localhost:8000/v2/.*", Runner.SERVICE),
    Entry(r"nightlift (models|doctor)", Runner.SERVICE),
    Entry(r"nightlift enhance (photo|-)(?!.*--(watch|ca)).*", Runner.SERVICE),
    Entry(r"(ffmpeg .* \| )?nightlift video .*", Runner.SERVICE),
    Entry(r"python -m (docs\.\w+|benchmarks\.(per_picture|noise|files)) .*", Runner.SERVICE),
    Entry(r"python -m benchmarks\.(serving|peers) .*", Runner.BENCHMARKS, "short", evidence="benchmarks.peers"),
    Entry(r"python -m benchmarks\.downstream .*", Runner.DOWNSTREAM, "made photos", evidence="downstream.main("),
    Entry(r"python -m benchmarks\.published .*", Runner.PUBLISHED, "made photos", evidence="published.main("),
    Entry(r"nightlift serve", Runner.TRAINING),
    Entry(r"nightlift train zero_dce_improved_cpu .*", Runner.TRAINING, "two steps"),
    Entry(r"python -m training\.datasets\.scenes .*", Runner.TRAINING),
    Entry(r"nightlift evaluate (?!glow).*", Runner.TRAINING),
    Entry(r"nightlift export (?!runs/glow).*", Runner.TRAINING, "not compared at 400x600"),
    Entry(r"python -m export\.torchscript .*", Runner.TRAINING),
    Entry(r"python -m training\.profile .*", Runner.TRAINING),
    Entry(r"python -m training\.repeat .*", Runner.REPEAT, "a toy training", evidence='"training.repeat"'),
    Entry(r".*glow.*", Runner.NETWORK, evidence="docs/adding_a_network.md"),
    Entry(r"python make_relight\.py", Runner.OWN_TENSORS),
    Entry(r"grpcurl .*", Runner.CLIENTS),
    Entry(r"echo .*\| *\n? *grpcurl .*", Runner.CLIENTS),
    Entry(r"perf_analyzer .*", Runner.CLIENTS, "short measurements"),
    Entry(r"git clone .*", Runner.SLOW, "of the commit at hand"),
    Entry(r"make (serve|docs|docs-site|format|torchscript)", Runner.SLOW),
    Entry(r"pipx install .*", Runner.INSTALLATION, "by pip", evidence='"pip", "install"'),
    Entry(r"docker build .*", Runner.COMPOSE, "by compose", evidence="--build"),
    Entry(r"pip install -e '\.\[training,export\]'", Runner.SLOW),
    Entry(r"nightlift serve --host .*", Runner.SLOW, "on 127.0.0.1"),
    Entry(r"nightlift enhance .*--watch.*", Runner.SLOW),
    Entry(r"nightlift bench.*", Runner.SLOW, "one round"),
    Entry(r"nightlift train .*--device cuda.*", Runner.SLOW, "two steps; on the CPU where there are no two GPUs"),
    Entry(r"tensorboard .*", Runner.SLOW),
    Entry(
        r"python -m tests\.reliability\.\w+.*", Runner.RELIABILITY, "short", evidence='"tests.reliability.overload"'
    ),
    Entry(r"NIGHTLIFT_SCHEMA_EXAMPLES=.*", Runner.RELIABILITY, "20 examples", evidence="test_openapi.py"),
    Entry(r"make audit", Runner.RELIABILITY, evidence='"make", "audit"'),
    Entry(r"make open-weights", Runner.OPEN, "its steps, on made pictures", evidence="make_open.make"),
    Entry(r"make (test|lint)", Runner.CI, evidence="make lint\nmake test"),
    Entry(r"make test-ray", Runner.RAY, evidence="`make test-ray`"),
    Entry(r"pip install -e '\.\[ray\]'", Runner.RAY, evidence="installs Ray"),
    Entry(r"nightlift bulk .*", Runner.RAY, "folders, no bucket", evidence='nightlift("bulk"'),
    Entry(r"docker compose up .*", Runner.COMPOSE, evidence="up --detach --wait"),
    Entry(r"kubectl apply -k .*", Runner.KUBECTL, "rendered and validated, not applied", evidence="kustomize"),
    Entry(r"tritonserver .*", Runner.TRITON, "Triton's core with backends of ours", evidence="triton_server"),
    Entry(r"nightlift keys .*", Runner.KEYS),
    Entry(r"NIGHTLIFT_KEYS_FILE=.* nightlift serve", Runner.GUARDED, evidence="keys_file=file"),
    Entry(
        r"NIGHTLIFT_TLS_.* nightlift serve .*", Runner.TLS, "on 127.0.0.1", evidence='"tls_certificate": "server.pem"'
    ),
    Entry(r"nightlift enhance .* --ca .*", Runner.TLS, evidence='"--ca"'),
    Entry(r"curl -sf -H .*", Runner.TLS, "over https", evidence='"Authorization: Bearer {service.key}"'),
    Entry(r"NIGHTLIFT_ENGINE=triton .*", Runner.TRITON, "in process", evidence='engine="triton"'),
)

DOCUMENTED = tuple((path.name, command) for path in DOCUMENTS for command in commands(path))
"""(document, command), each as often as it stands there."""


def entries_of(command: str) -> list[Entry]:
    """The entries that a command belongs to; one, if all is well."""
    return [entry for entry in ENTRIES if re.fullmatch(entry.pattern, command, re.DOTALL)]


def commands_of(runner: Runner) -> list[str]:
    """The commands that a runner runs, in the order of the documents, each once."""
    unique = dict.fromkeys(command for _, command in DOCUMENTED)
    return [command for command in unique if runner in {entry.runner for entry in entries_of(command)}]


def table() -> str:
    """Every command once, with who runs it, as Markdown."""
    lines = ["| command | run by | other than in the document |", "|---|---|---|"]
    for command in dict.fromkeys(command for _, command in DOCUMENTED):
        entry = entries_of(command)[0]
        text = command.splitlines()[0].replace("|", "\\|")
        lines.append(f"| `{text}` | {STARTED_BY.get(entry.runner, entry.runner)} | {entry.difference} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
