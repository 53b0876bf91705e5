"""Declarative files: plan, apply and export what an account contains."""
