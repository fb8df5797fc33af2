"""Reading the ledger in Postgres; nothing here writes."""
