"""Postgres: the ledger, which is only read, and our own schema, which holds the API keys."""
