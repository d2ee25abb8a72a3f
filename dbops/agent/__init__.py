"""The program that works inside a target's own interpreter.

It is sent over stdin and run from memory (see ``bootstrap``), so it stands alone: the standard library, the
target's Django, nothing of ours. It runs on Python 3.8 to 3.14 and Django 3.2 to 6.x. ``frames`` documents
the protocol.

Two processes: the ``supervisor`` owns stdin and stdout and never imports anything of the target; the
``child`` has its streams on pipes to the supervisor and becomes the target.
"""
