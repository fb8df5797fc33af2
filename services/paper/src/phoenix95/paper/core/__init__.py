"""What the simulated exchange decides: no I/O, no clock, no chance of its own."""
