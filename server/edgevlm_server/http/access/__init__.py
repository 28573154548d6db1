"""Who may use the server: keys, names of hosts, pages of other origins. Knows no route and no body."""
