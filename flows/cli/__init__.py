"""The ``dreamvideo`` command: one file a command group."""
