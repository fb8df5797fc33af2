"""What the dashboard shows, gathered once for all who look, and only while somebody does."""
