"""How the world comes in. The doors translate; they never decide."""
