"""The line runtime: frames in, one verdict a part, journal, PLC. Imports no Django."""
