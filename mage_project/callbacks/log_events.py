from mage_project.utils.callback_messages import log_line

if "callback" not in globals():
    from mage_ai.data_preparation.decorators import callback


@callback("success")
def log_success(*outputs, **variables):
    """Log that a block has finished."""
    print(log_line("finished", outputs, variables))


@callback("failure")
def log_failure(*outputs, **variables):
    """Log that a block has failed, for which month and why."""
    print(log_line("failed", outputs, variables))
