"""Decisions of the money path: plain functions over frozen structs."""
