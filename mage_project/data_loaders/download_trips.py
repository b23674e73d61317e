from pathlib import Path

from mage_project.utils.checks import assert_safe_preview, sha256
from mage_project.utils.steps import step
from mage_project.utils.variables import context_of, settled
from nyc_taxi.model.references import SourceFile
from nyc_taxi.pipelines import trips
from nyc_taxi.reporting import preview

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_loader
def download_trips(*args, **variables):
    """The month's file as published, verified, in the workspace; an unchanged file is not fetched again.

    Outputs: the file's first rows before any rule; a reference to it (SourceFile).
    """
    asked = settled(variables)
    with step("download_trips", context_of(variables, asked)) as current:
        source = trips.download(asked.service, asked.month, asked.source, progress=current.progress)
        return current.outputs(preview.raw(source), source)


@test
def test_file_is_the_one_downloaded(rows, reference, **variables):
    source = SourceFile.from_dict(reference)
    size, checksum = Path(source.path).stat().st_size, sha256(source.path)
    assert size == source.size, f"{source.path} has {size} bytes, {source.size} were downloaded."
    assert checksum == source.sha256, f"{source.path} has SHA-256 {checksum}, {source.sha256} was downloaded."


@test
def test_preview_can_be_shown(rows, reference, **variables):
    # an empty one too: a file without a readable row is clean_trips' to refuse, which knows why
    assert_safe_preview(rows)
