"""Runs the whole system on one machine: its own Redis, Postgres, the paper exchange and the services."""
