"""Decisions of the monitor: pure functions."""
