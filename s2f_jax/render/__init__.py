"""Videos from the command line: jobs, live audio, sinks, galleries."""
