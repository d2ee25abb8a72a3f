"""Readiness of targets, seen from the worker's side: typed results, probed round the clock, judged by age."""
