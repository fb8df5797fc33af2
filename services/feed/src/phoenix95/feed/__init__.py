"""Exchange websocket to tick streams."""
