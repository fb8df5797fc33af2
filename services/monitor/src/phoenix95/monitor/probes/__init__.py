"""What the monitor looks at: the only home of psutil."""
