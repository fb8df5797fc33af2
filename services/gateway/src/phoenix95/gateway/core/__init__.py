"""Decisions of the gateway: pure functions and frozen structs."""
