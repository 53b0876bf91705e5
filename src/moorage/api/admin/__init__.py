"""Moorage's own calls under `/_moorage/`: readiness, metrics, explanations, the trash, dev mode's reset and clock."""
