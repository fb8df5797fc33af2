"""The order protocol: the pure plan carried out over the ports, one move at a time."""
