"""The command line: a file a verb, each thin on a method of the workspace."""
