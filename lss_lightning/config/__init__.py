"""The configuration from YAML files and the command line, checked and typed for the workflows.

There is one module per command. None of the modules imports a heavy package, so mistakes are reported within a second.
"""
