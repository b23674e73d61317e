from mage_project.utils.pruning import prune
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter


@data_exporter
def prune_old_runs(data, *args, **variables):
    """Delete previews and logs of old runs; mage_project/metadata.yaml sets the retention period.

    Returns the deleted folders.
    """
    with step("prune_old_runs", log_context(variables)) as current:
        folders = prune()
        current.log(f"deleted {len(folders)} folders of old runs")
        return current.output(folders, {"folders": len(folders)})
