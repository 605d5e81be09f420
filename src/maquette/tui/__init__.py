"""`maquette tui`: every run in one terminal. Reads run directories, acts by the command line."""
