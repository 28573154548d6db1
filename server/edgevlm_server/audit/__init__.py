"""The audit, where one is asked for: what was asked and answered, written down beside the server's work."""
