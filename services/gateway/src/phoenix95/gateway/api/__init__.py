"""The HTTP side: routes, who may call them, and how a refusal looks."""
