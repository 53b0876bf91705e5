"""Registry passwords for container tools: keys, signed calls, the tools' own files, and `docker-credential-moorage`.

The standard library alone, and nothing else of Moorage: docker starts the credential helper for every command, and it
must be done before a person notices.
"""
