"""Factors of the evidence: one file each. To add one, add a file with a `FACTOR`; nothing else is edited."""
