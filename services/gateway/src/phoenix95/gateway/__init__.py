"""Thin read API, commands and dashboard."""
