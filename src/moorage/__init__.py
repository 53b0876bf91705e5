"""Moorage: a self-hosted container registry that speaks Amazon ECR and enforces its repository policies."""

__version__ = "0.1.0"
