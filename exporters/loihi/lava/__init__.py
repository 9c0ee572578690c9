"""The network in Lava, always in a supervised child process: Lava hangs where it should fail."""
