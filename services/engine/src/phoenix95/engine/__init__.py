"""Ticks to bars, indicators, score and analysis events."""
