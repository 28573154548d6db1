"""A load generator for any OpenAI-compatible chat endpoint, and what clients felt of it."""
