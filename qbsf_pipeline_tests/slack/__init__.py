"""Tests of the Slack client, its messages and their delivery."""
