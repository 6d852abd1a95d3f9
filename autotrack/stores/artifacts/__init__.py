"""Where the files of runs are kept: a folder, an object store, a database."""
