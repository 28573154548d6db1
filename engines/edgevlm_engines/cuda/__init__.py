"""CUDA as the engines need it: memory, streams, the KV cache on a device."""
