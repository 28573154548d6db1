"""What the server tells its operator: records of requests, counters, log, traces. Knows no route and no state."""
