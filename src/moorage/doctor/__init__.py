"""What stands between this machine and a registry: checks, each with the line that mends what it finds."""
