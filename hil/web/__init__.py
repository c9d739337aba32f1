"""The live application: run files over HTTP while they are written."""
