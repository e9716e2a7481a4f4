"""Commands of the program: one function and one file each."""
