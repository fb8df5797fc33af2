"""What every service shares: events, ids, money, time, the bus, settings, logs, serving."""
