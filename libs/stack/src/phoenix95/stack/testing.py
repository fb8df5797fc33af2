"""Fixtures for the tests of all members: a real Redis and a real Postgres."""
