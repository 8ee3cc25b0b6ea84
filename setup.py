"""Packs the notebooks and the evidence, which stand beside the package in a checkout, into its wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# rnnkit/places.py looks for them here
PACKED = "rnnkit/packed"
SHIPPED = (
    "notebooks/*.ipynb",
    "figures/trials.parquet",
    "figures/trials.weights/*",
    "figures/LICENSE.md",
)


class BuildWithNotebooks(build_py):
    """build_py; an editable install takes the notebooks and the evidence from the checkout itself."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for source, target in self._shipped().items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode=True):
        return super().get_outputs(include_bytecode) + [str(target) for target in self._shipped().values()]

    def _shipped(self) -> dict:
        """Each file that is packed -> where it goes."""
        files = sorted(path for pattern in SHIPPED for path in Path().glob(pattern))
        return {path: Path(self.build_lib, PACKED, path) for path in files}


setup(cmdclass={"build_py": BuildWithNotebooks})
