"""Downloads: a month's file comes into the workspace whole, verified and once, or not at all.

`fetch(service, month, resolve("auto"), settings().workspace)` brings it; `detect_format(path)` tells
what a file is, whatever it is called.
"""

from nyc_taxi.download.fetch import fetch, fetch_file, fetched_sha256
from nyc_taxi.download.formats import Format, detect_format
from nyc_taxi.download.transfer import Progress

__all__ = ["Format", "Progress", "detect_format", "fetch", "fetch_file", "fetched_sha256"]
