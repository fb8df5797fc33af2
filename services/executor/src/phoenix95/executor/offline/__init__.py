"""Commands that a person runs beside the services, or instead of them. The command line finds them by entry point."""
