"""Background jobs: the runner of the lease table, schedules, and the kinds of maintenance jobs."""
