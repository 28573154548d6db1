"""From sequences to tokens: the one thread that owns the engine. Knows no pictures, no JSON and no HTTP."""
