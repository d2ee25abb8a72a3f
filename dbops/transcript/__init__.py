"""Append, read and follow what a job prints.

Rows are the truth. Redis carries the live tail and nothing that is not in the rows already: when it is gone
or flushed, followers read the rows every two seconds and lose nothing. Only this room knows Redis.
"""
