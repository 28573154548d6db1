"""Answers of a given form: schemas, grammars, and which token may come next."""
