"""From what a client sends as a picture to features. Knows no conversations and no HTTP routes."""
