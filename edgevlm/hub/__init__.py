"""Published checkpoints: which there are, and how they come into a hub's cache. Knows not what is made of them."""
