"""Indicators: one file each. To add one, add a file with one subclass of `Indicator`; nothing else is edited."""
