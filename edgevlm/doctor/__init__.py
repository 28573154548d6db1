"""What a machine has, what it lacks, and what it could reach at best: read from files, nothing is run on a GPU."""
