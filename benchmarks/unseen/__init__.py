"""Pictures drawn by other hands than the demo model's training, and tables of how its answers fare on them.

Nothing here is taken from the generator of the training pictures, and nothing there may be taken from here.
"""
