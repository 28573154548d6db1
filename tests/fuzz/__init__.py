"""Every reader of what others send, given anything: it reads it or refuses it in its own words, and nothing else.

`targets.py` has a function for each reader, which the tests feed by rule and by the kept files in `corpus`, and which
`make fuzz SECONDS=60` feeds by coverage. What that finds becomes a file of the corpus, which every run of the tests
reads from then on.
"""
