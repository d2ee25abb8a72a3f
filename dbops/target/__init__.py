"""The one door to a target's interpreter: start, call, stream, stop. Knows no models; errors are typed by
whose fault they are."""
