"""From data to a row of the benchmarks' table, by `manage.py reproduce NAME`.

`recipes` says what is run, `data` brings the images in, `splits` parts them, `runs` fits fold by fold and
keeps what is done, `pooling` makes one figure with its interval of several seeds, `table` writes the row.
"""
