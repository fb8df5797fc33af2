"""The exchange: signed REST through ccxt, and the user stream. The only home of ccxt and of a websocket here."""
