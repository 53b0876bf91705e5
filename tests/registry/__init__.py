"""Tests of moorage.registry."""
