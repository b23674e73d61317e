"""Source files in a bucket: copied into the workspace, where the package reads them."""

from __future__ import annotations

from pathlib import Path


def local_source(source: str) -> str:
    """`gs://bucket/folder/file` as a file of the workspace; every other source as it is.

    Raises NotPublished when the bucket does not have the object. Several tasks may copy the same
    file: each writes its own copy and renames it.
    """
    if not source.startswith("gs://"):
        return source
    from airflow.providers.google.cloud.hooks.gcs import GCSHook

    from nyc_taxi.errors import NotPublished, SettingsError
    from nyc_taxi.files import replacing
    from nyc_taxi.settings import load_settings

    bucket_name, _, name = source.removeprefix("gs://").partition("/")
    if not bucket_name or not name:
        raise SettingsError(f"source {source!r} names no object: write gs://bucket/folder/file.")
    blob = GCSHook().get_conn().bucket(bucket_name).get_blob(name, timeout=60)
    if blob is None:
        raise NotPublished(f"{source}: does not exist.")
    folder = load_settings().workspace / "inbox" / bucket_name / f"{name.replace('/', '_')}-{blob.generation}"
    path = folder / Path(name).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            blob.download_to_filename(str(part), timeout=60)
    return str(path)
