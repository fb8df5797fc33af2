"""Host and pipeline health."""
