"""Bodies, from bytes to checked values: JSON and forms. Knows no route."""
