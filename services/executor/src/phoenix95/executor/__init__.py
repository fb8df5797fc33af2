"""Analyses through three risk gates to orders and the ledger."""
