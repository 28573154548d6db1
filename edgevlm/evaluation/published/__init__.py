"""The six benchmarks that MobileVLM publishes scores of: their files, their questions, their scores. A file each."""
