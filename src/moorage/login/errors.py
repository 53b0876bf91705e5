"""What can go wrong on the way to a password. Every message is for the person, and says what would help."""


class LoginError(Exception):
    """The base of all of them."""


class KeyNotFoundError(LoginError):
    """No access key can be had from where it was asked for."""


class HostsBrokenError(LoginError):
    """The file that maps hosts to servers is there and cannot be used."""


class EndpointError(LoginError):
    """The server gave nothing.

    `code` is the server's own, or the kind of the failure: ca, tls, plain, secure (TLS where none was spoken),
    unreachable or answer (something answered, and not as AWS does).
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DockerConfigError(LoginError):
    """Docker's configuration file is there and cannot be used."""
