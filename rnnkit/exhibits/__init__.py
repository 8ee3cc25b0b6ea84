"""What is shown, a file for each section of the paper: all of one figure or table in one object.

`base` says what an exhibit is made of, and how to add one.
"""
