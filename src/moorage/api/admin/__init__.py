"""Moorage's own API under `/_moorage/`: readiness, metrics, explanations, the trash, and dev mode's reset and clock."""
