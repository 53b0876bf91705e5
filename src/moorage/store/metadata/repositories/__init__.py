"""Statements about repositories, registries and their quotas."""
