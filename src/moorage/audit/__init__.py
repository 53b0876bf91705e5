"""The audit record: decisions and calls, written in batches and read in the shape of CloudTrail events."""
