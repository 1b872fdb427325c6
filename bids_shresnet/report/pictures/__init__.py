"""Images of one scan, before and after."""
