"""Decisions: pure functions of the tick log. No await, no clock, no driver, no environment."""
