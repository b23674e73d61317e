"""A patch of Pause and Play on the page *Pipelines*: they change triggers only, and Play undoes Pause.

For both buttons, the page of Mage 0.9.80 sends the whole pipeline as listed, without its concurrency limits,
and Mage removes them from metadata.yaml. Play then activates every trigger that ever existed, without
recording the time of activation, so that they run at once.
"""

from __future__ import annotations

from typing import Any

from mage_ai.api.errors import ApiError
from mage_ai.api.resources.PipelineResource import PipelineResource
from mage_ai.api.resources.PipelineScheduleResource import PipelineScheduleResource
from mage_ai.data_preparation.models.triggers import ScheduleInterval, ScheduleStatus
from mage_ai.orchestration.db import safe_db_query
from mage_ai.orchestration.db.models.schedules import PipelineSchedule

PAUSED = "paused"
"""Tag of triggers stopped by Pause, shown on the page *Triggers*."""

_update = PipelineResource.update


def patch_pause() -> None:
    """Replace Mage's handling of both buttons."""
    PipelineResource.update = update


async def update(resource: PipelineResource, payload: dict[str, Any], **options: Any) -> Any:
    """Update a pipeline, or pause or play it, depending on the payload."""
    if payload.get("status") == ScheduleStatus.INACTIVE:
        pause(resource.model.uuid, resource.current_user)
    elif payload.get("status") == ScheduleStatus.ACTIVE:
        play(resource.model.uuid, resource.current_user)
    else:
        return await _update(resource, payload, **options)
    return resource


@safe_db_query  # type: ignore[untyped-decorator]
def pause(pipeline: str, user: Any) -> None:
    """Stop the active triggers of a pipeline."""
    for trigger in _triggers(pipeline):
        tags = _tags(trigger) - {PAUSED}
        if trigger.status == ScheduleStatus.ACTIVE:
            tags.add(PAUSED)
        _set(trigger, user, ScheduleStatus.INACTIVE, tags)


@safe_db_query  # type: ignore[untyped-decorator]
def play(pipeline: str, user: Any) -> None:
    """Start the triggers stopped by Pause, or the pipeline's only trigger.

    Raises ApiError if the pipeline has several triggers, none of them stopped by Pause.
    """
    triggers = _triggers(pipeline)
    chosen = [trigger for trigger in triggers if PAUSED in _tags(trigger)]
    if not chosen:
        chosen = [trigger for trigger in triggers if trigger.schedule_interval != ScheduleInterval.ONCE]
        if len(chosen) != 1:
            message = f"{pipeline} was not paused: enable its triggers one by one, on its page Triggers."
            raise ApiError({**ApiError.RESOURCE_INVALID, "message": message})
    for trigger in chosen:
        _set(trigger, user, ScheduleStatus.ACTIVE, _tags(trigger) - {PAUSED})


def _triggers(pipeline: str) -> list[PipelineSchedule]:
    return list(PipelineSchedule.query.filter(PipelineSchedule.pipeline_uuid == pipeline).all())


def _tags(trigger: PipelineSchedule) -> set[str]:
    return {tag.name for tag in trigger.tag_associations}


def _set(trigger: PipelineSchedule, user: Any, status: ScheduleStatus, tags: set[str]) -> None:
    """Switch a trigger in the database and in triggers.yaml, like the page *Triggers*."""
    if trigger.status != status or _tags(trigger) != tags:
        PipelineScheduleResource(trigger, user).update({"status": status, "tags": sorted(tags)})
