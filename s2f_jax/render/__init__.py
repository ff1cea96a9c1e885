"""Videos from stills and sound: the commands generate, stream and gallery."""
