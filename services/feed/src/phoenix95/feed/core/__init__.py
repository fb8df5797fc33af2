"""Decisions of the feed: what a frame says, what a symbol waits for, what a page of history mends."""
