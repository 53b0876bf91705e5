"""Diagnoses the connection between this machine and a registry. Each check names the commands that fix a problem."""
