"""The handlers of every task type, by family: the only modules that know a task."""
