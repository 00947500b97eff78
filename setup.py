"""What the wheel holds: the parts that serve, and the models; training, export and benchmarks belong to a clone."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SERVING = ("nightlift", "service")


class BuildServing(build_py):
    """An editable installation stays a clone, with all its parts.

    Weights to train on, and models that need torch, stay there.
    """

    def run(self) -> None:
        """See setuptools."""
        if not self.editable_mode:
            self.packages = [name for name in self.packages if name.partition(".")[0] in SERVING]
        super().run()
        models = Path(__file__).with_name("model_repository")
        if self.editable_mode or not models.is_dir():  # images have theirs elsewhere
            return
        for file in sorted(models.rglob("*")):
            if file.is_file() and not file.match("*.safetensors") and "_torchscript" not in str(file):
                target = Path(self.build_lib, "service/model_repository", file.relative_to(models))
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildServing})
