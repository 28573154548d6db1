"""A model in this process, asked without a server: one call, or a conversation. Knows no HTTP and no terminal."""
