"""What the docs' figures come from: each module is a command that prints its figure beside what it is
measured against, in the same run. Run them below `python -m embedded.testing --`."""

import django

# Before a module here imports models.
django.setup()
