from mage_project.utils.callback_messages import log_line

if "callback" not in globals():
    from mage_ai.data_preparation.decorators import callback


@callback("success")
def tell_success(*outputs, **variables):
    """A line in the run's log that this block is done."""
    print(log_line("is done", outputs, variables))


@callback("failure")
def tell_failure(*outputs, **variables):
    """A line in the run's log that says what failed, of which month, and why."""
    print(log_line("failed", outputs, variables))
