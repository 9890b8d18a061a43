"""The standard library: macros over the forms of the language, written in Hy."""
