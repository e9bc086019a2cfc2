"""A generator of hostile files, and the process that opens them."""
