"""Roles out of order: the dataflow form of a program, the walker that runs it, and windows."""
