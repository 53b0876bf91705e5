"""Attacks on the ways in: each test is one that succeeded once, or that must never succeed."""
