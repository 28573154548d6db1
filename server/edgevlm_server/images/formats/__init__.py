"""What a file says it is, and what a picture may be. Nothing is decoded here."""
