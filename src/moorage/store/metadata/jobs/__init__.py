"""Tables and statements of background jobs."""
