"""The decode kernels, compiled for this processor and run without a GPU."""
