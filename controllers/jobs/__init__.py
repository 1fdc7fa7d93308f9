"""The job types, a module per family: parameters, stages, tasks and the job's result."""
