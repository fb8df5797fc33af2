"""What the gateway reads from Redis and appends to it."""
