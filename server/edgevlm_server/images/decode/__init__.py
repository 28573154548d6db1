"""From a file's bytes to pixels for the vision encoder, in processes that may crash. Knows no address."""
