"""Builds the package; all but the one step below is in pyproject.toml.

An installed package has no checkout around it, so a wheel carries a copy of the files that users edit in a
checkout, in `nyc_taxi/defaults`. An editable installation has none: there the checkout's own files are read.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DEFAULTS = ("mage_project/rules.yaml", "mage_project/io_config.yaml")


class BuildWithDefaults(build_py):
    """Adds the files of DEFAULTS to the package."""

    def run(self) -> None:
        """Copy them after everything else."""
        super().run()
        if not self.editable_mode:
            for source, target in self._defaults().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What the installation consists of."""
        return [*super().get_outputs(include_bytecode), *self._defaults().values()]

    def get_output_mapping(self) -> dict[str, str]:
        """Built files and their sources."""
        return super().get_output_mapping() | {target: source for source, target in self._defaults().items()}

    def get_source_files(self) -> list[str]:
        """What a source distribution needs."""
        return [*super().get_source_files(), *DEFAULTS]

    def _defaults(self) -> dict[str, str]:
        folder = Path(self.build_lib, "nyc_taxi", "defaults")
        return {source: str(folder / Path(source).name) for source in DEFAULTS}


setup(cmdclass={"build_py": BuildWithDefaults})
