"""Training a translator, keeping its weights, and translating with it."""
