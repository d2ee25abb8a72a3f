"""A real provider of OpenID Connect, a process of its own: django-oauth-toolkit in a small Django project."""
