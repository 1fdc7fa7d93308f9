"""The state machine: accepts jobs, starts stages, runs tasks, ends them; knows no job type and no HTTP."""
