"""What each route takes and answers, field by field. Knows no HTTP, no pictures and no engine."""
