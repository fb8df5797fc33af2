"""Ticks to bars, indicators, score and analysis events."""

from typing import Final

__version__: Final = "0.1.0"
