"""Errors of logging in. Every message is for a person, and says what would help."""


class LoginError(Exception):
    """The base class of all of them."""


class KeyNotFoundError(LoginError):
    """The named source has no usable access key."""


class HostsBrokenError(LoginError):
    """The file that maps hosts to servers cannot be used."""


class EndpointError(LoginError):
    """The server did not return what was requested.

    `code`: the server's own code, or the kind of the failure: ca, tls, plain, secure (TLS where plain HTTP was
    expected), unreachable, or answer (a response that is not AWS's).
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DockerConfigError(LoginError):
    """Docker's configuration file cannot be used."""
