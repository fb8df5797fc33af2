"""The monitor's part of Postgres: system_events and performance_metrics. The only home of the driver here."""
