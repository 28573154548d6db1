"""What the server tells its operator: counters, and a line for each answer. Knows no route and no state."""
