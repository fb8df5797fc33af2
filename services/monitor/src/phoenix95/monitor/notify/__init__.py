"""How people are told: the only home of apprise."""
