"""What comes before any route: sockets, connections, HTTP/1.1, targets, and what every answer carries."""
