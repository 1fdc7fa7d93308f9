"""The rows of the job protocol: jobs, tasks, work areas, poison messages."""
