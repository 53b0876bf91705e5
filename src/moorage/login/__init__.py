"""Registry passwords for container tools: keys, signed calls, the tools' own files, and `docker-credential-moorage`.

It uses the standard library only, and nothing else of Moorage: docker starts the credential helper for every command,
so it must be fast.
"""
