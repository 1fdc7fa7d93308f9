"""Target tables: staged, filled, and put in the place of the one that is served."""
