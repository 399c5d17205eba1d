"""Slack: posting messages, building them, and delivering the outbox."""
