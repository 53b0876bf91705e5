"""Commands that explain decisions and show who has access."""
