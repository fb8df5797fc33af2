"""The exchange's websocket interface."""
