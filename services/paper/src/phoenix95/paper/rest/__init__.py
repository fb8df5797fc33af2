"""The exchange's REST interface."""
