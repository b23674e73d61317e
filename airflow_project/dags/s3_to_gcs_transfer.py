"""Copy an S3 bucket to a GCS bucket with Google's Storage Transfer Service: no data passes a worker."""

from __future__ import annotations

import datetime as dt

from airflow.providers.common.compat.sdk import Param, dag
from airflow.providers.google.cloud.operators.cloud_storage_transfer_service import (
    CloudDataTransferServiceS3ToGCSOperator,
)

from taxi_airflow.defaults import common

WAIT = dt.timedelta(hours=6)


@dag(
    schedule=None,
    is_paused_upon_creation=False,  # nothing starts it but somebody who wants it
    description="Copy new objects of an S3 bucket to a GCS bucket",
    doc_md="""
### From S3 to GCS

Starts a job of the Storage Transfer Service, waits until it has copied what is new or changed, and deletes
the job. It is for files in an S3 bucket of your own (the trips of another team, an archive);
TLC's own files come over HTTPS with `taxi_ingest`. A daily transfer should be a
scheduled job of the service itself: see `terraform/`.

Credentials: `role_arn` (a role on AWS that trusts Google's service agent), or else the connection `taxi_s3`.
""",
    params={
        "s3_bucket": Param("", type="string", minLength=3, title="S3 bucket"),
        "s3_path": Param(None, type=["null", "string"], title="Folder in S3", description="Ends with /."),
        "gcs_bucket": Param("", type="string", minLength=3, title="GCS bucket"),
        "gcs_path": Param(None, type=["null", "string"], title="Folder in GCS", description="Ends with /."),
        "role_arn": Param(None, type=["null", "string"], title="AWS role"),
    },
    render_template_as_native_obj=True,  # an empty param stays None
    **common("transfer"),
)
def s3_to_gcs_transfer() -> None:
    CloudDataTransferServiceS3ToGCSOperator(
        task_id="transfer",
        s3_bucket="{{ params.s3_bucket }}",
        s3_path="{{ params.s3_path }}",
        gcs_bucket="{{ params.gcs_bucket }}",
        gcs_path="{{ params.gcs_path }}",
        aws_role_arn="{{ params.role_arn }}",
        aws_conn_id="taxi_s3",
        description="{{ dag.dag_id }} {{ run_id }}",
        timeout=WAIT.total_seconds(),
        delete_job_after_completion=True,
        execution_timeout=WAIT + dt.timedelta(minutes=10),
    )


s3_to_gcs_transfer()
