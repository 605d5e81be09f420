"""The show in a browser: a folder of files that any web server can serve."""
