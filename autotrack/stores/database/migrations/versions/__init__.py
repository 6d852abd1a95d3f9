"""One module per change of the tables, named and run in the order of its number."""
