"""The many-to-many question: what is lost by nature, what is lost by the model."""
