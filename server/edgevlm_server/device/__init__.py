"""What the machine says of itself: load, clocks, memory, watts, temperatures, throttling. Knows no requests."""
