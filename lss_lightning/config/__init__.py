"""The configuration: YAML files and command line, checked and typed for the workflows.

There is a module per command. Nothing here imports a heavy package, so a mistake is reported within a second.
"""
