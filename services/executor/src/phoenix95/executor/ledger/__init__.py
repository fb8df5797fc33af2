"""Postgres: what is remembered of every decision, order and fill. The only home of the database driver here."""
