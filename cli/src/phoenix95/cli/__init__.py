"""The command `phoenix95`."""
