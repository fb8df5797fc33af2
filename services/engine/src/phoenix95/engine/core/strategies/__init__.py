"""Strategies: one file each. To add one, add a file with a `STRATEGY`; nothing else is edited."""
