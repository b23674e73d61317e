"""Where months lie: TLC's site, a mirror of CSV files, a folder, a file, any URL, or the generator.

    source = resolve("auto")
    source.published(Service.GREEN, Month.parse("2020-04"))   # which version is there; None when none is

`nyc_taxi.download.fetch` brings a month from its source into the workspace.
"""

from nyc_taxi.source.place import Candidate, LocalFile, Published, Sample, WebFile
from nyc_taxi.source.resolve import Source, resolve

__all__ = ["Candidate", "LocalFile", "Published", "Sample", "Source", "WebFile", "resolve"]
