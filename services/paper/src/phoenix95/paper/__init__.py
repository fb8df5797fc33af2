"""A simulated Binance USD-M exchange: REST, websockets, matching, time."""
