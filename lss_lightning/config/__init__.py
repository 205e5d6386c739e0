"""The configuration: what the YAML files and the command line compose, checked and typed for the workflows.

A module for each command. Nothing here imports anything heavy: a mistake is told within a second.
"""
