"""What rounding and our own code do to a model's numbers: measured beside fp32 or upstream, and learnt from."""
