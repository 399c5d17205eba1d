"""Ageing: each morning, how old is what customers still owe, and who is told."""
