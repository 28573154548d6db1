"""Named values read from pictures: fields, the forms of their answers, and what came of them."""
