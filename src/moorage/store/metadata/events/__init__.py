"""Statements about the outbox: events of state changes that wait to be delivered."""
