"""What a target printed, in a page without its script."""

from django import template

from dbops.plain import plain

register = template.Library()
register.filter("plain", plain)
