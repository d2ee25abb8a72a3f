"""`make run` and the services of the tests: a private Postgres, a private Redis and opsdash's own processes.

Nothing of opsdash imports this package, and it imports nothing of opsdash: it knows the processes as command
lines (processes.py) and the settings as environment variables (environment.py). Linux only; needs no
privilege, and as root gives up what the servers do not need.
"""
