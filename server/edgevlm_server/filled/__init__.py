"""JSON that a server writes and a model fills, field by field."""
