"""Tests of moorage.jobs."""
