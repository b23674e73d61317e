from mage_project.utils.pruning import prune
from mage_project.utils.steps import step
from mage_project.utils.variables import context_of

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter


@data_exporter
def prune_old_runs(data, *args, **variables):
    """Previews and logs of old runs are deleted; how old, mage_project/metadata.yaml says.

    Outputs: what was deleted; the same as a count.
    """
    with step("prune_old_runs", context_of(variables)) as current:
        folders = prune()
        current.say(f"{len(folders)} folders of old runs were deleted")
        return current.outputs(folders, {"folders": len(folders)})
