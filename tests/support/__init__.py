"""What the tests of several parts share: clients, server processes, and the components joined in this process."""
