"""The real clients, each as a small object that can log in, push and pull, with the flags that work without TLS."""

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from tests.support.server_process import run


@dataclass
class Client(ABC):
    """One client with its own configuration directory; `work` is a directory it may fill."""

    work: Path
    layout: Path  # an OCI layout holding an image tagged v1
    environment: dict[str, str] = field(default_factory=dict)
    # For sockets, whose paths have at most 107 characters, and podman's runroot, which has at most 50: pytest's
    # directories are deeper. skopeo, podman and buildah keep passwords here as well, not in HOME.
    _runtime: TemporaryDirectory[str] = field(
        default_factory=lambda: TemporaryDirectory(prefix="moorage-", dir="/tmp", ignore_cleanup_errors=True)
    )
    program: ClassVar[str]
    shows_reason: ClassVar[bool] = True  # does it print the body of a 403?

    @property
    def runtime(self) -> Path:
        """A directory of its own with a short path, removed by `close`."""
        return Path(self._runtime.name)

    def call(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ,
            "HOME": str(self.work),
            "DOCKER_CONFIG": str(self.work / "docker"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            **self.environment,
        }
        return run([self.program, *arguments], check=check, env=environment, cwd=self.work, timeout=180)

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Anything needed once before login."""

    @abstractmethod
    def login(self, registry: str, user: str, password: str) -> None:
        """As the client's users do."""

    @abstractmethod
    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Push the image of the layout."""

    @abstractmethod
    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Forget what is held locally, then pull."""

    def close(self) -> None:
        """End what `prepare` started."""
        self._runtime.cleanup()


class Crane(Client):
    program = "crane"

    def login(self, registry: str, user: str, password: str) -> None:
        self.call("auth", "login", registry, "-u", user, "-p", password)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.call("push", str(self.layout), reference, check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.call("pull", reference, str(self.work / "pulled.tar"), check=check)


class Skopeo(Client):
    program = "skopeo"

    def login(self, registry: str, user: str, password: str) -> None:
        self.call("login", "--tls-verify=false", "-u", user, "-p", password, registry)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        target = f"docker://{reference}"
        return self.call("copy", "--dest-tls-verify=false", f"oci:{self.layout}:v1", target, check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        shutil.rmtree(self.work / "pulled", ignore_errors=True)
        source = f"docker://{reference}"
        return self.call("copy", "--src-tls-verify=false", source, f"dir:{self.work / 'pulled'}", check=check)


class Podman(Client):
    program = "podman"

    def call(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        storage = ["--storage-driver", "vfs", "--root", str(self.work / "root"), "--runroot", str(self.runtime / "run")]
        return super().call(*storage, *arguments, check=check)

    def login(self, registry: str, user: str, password: str) -> None:
        self.call("login", "--tls-verify=false", "-u", user, "-p", password, registry)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        loaded = self.call("pull", "-q", f"oci:{self.layout}:v1").stdout.strip()
        return self.call("push", "--tls-verify=false", loaded, reference, check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        self.call("rmi", "--all", "--force", check=False)
        return self.call("pull", "--tls-verify=false", reference, check=check)


class Buildah(Podman):
    program = "buildah"

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        self.call("pull", "-q", f"oci:{self.layout}:v1")
        identity = self.call("images", "-q").stdout.split()[0]
        return self.call("push", "--tls-verify=false", identity, f"docker://{reference}", check=check)


class Oras(Client):
    program = "oras"

    def login(self, registry: str, user: str, password: str) -> None:
        self.call("login", "--plain-http", registry, "-u", user, "-p", password)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        (self.work / "note.txt").write_text("an artifact\n")
        return self.call("push", "--plain-http", reference, "note.txt:text/plain", check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        (self.work / "note.txt").unlink(missing_ok=True)
        return self.call("pull", "--plain-http", reference, check=check)


class Regctl(Client):
    program = "regctl"

    def take_plain_http(self, registry: str) -> None:
        self.call("registry", "set", "--skip-check", "--tls", "disabled", registry)

    def login(self, registry: str, user: str, password: str) -> None:
        self.take_plain_http(registry)
        self.call("registry", "login", registry, "-u", user, "-p", password)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.call("image", "copy", f"ocidir://{self.layout}:v1", reference, check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        target = self.work / "pulled"
        shutil.rmtree(target, ignore_errors=True)
        return self.call("image", "copy", reference, f"ocidir://{target}:v1", check=check)


class Helm(Client):
    """Charts live at REGISTRY/PREFIX/CHART:VERSION; the reference's repository is the prefix and chart `app`."""

    program = "helm"

    def login(self, registry: str, user: str, password: str) -> None:
        self.call("registry", "login", "--plain-http", registry, "-u", user, "-p", password)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        if not (self.work / "app-0.1.0.tgz").exists():
            self.call("create", "app")
            self.call("package", "app")
        prefix = reference.rpartition("/")[0]
        return self.call("push", "--plain-http", "app-0.1.0.tgz", f"oci://{prefix}", check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        (self.work / "app-0.1.0.tgz").unlink(missing_ok=True)
        repository = reference.rpartition(":")[0]
        return self.call("pull", "--plain-http", f"oci://{repository}", "--version", "0.1.0", check=check)


class Containerd(Client):
    program = "ctr"
    shows_reason = False
    _user: tuple[str, ...] = ()  # the option that names it, once logged in

    def prepare(self) -> None:
        configuration = self.work / "containerd.toml"
        configuration.write_text(
            f'version = 2\nroot = "{self.work}/root"\nstate = "{self.runtime}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{self.runtime}/containerd.sock"\n'
        )
        with (self.work / "containerd.log").open("wb") as log:
            self._daemon = subprocess.Popen(["containerd", "--config", str(configuration)], stdout=log, stderr=log)
        run(["timeout", "100", "sh", "-c", f"until ctr -a {self.runtime}/containerd.sock version; do sleep 0.1; done"])
        run(["skopeo", "copy", f"oci:{self.layout}:v1", f"docker-archive:{self.work}/image.tar:local/app:v1"])
        self.call("images", "import", "--snapshotter", "native", str(self.work / "image.tar"))

    def call(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return super().call("-a", str(self.runtime / "containerd.sock"), *arguments, check=check)

    def login(self, _registry: str, user: str, password: str) -> None:
        self._user = ("--user", f"{user}:{password}")

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        source = "docker.io/local/app:v1"
        return self.call("images", "push", "--plain-http", *self._user, reference, source, check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        self.call("images", "rm", "--sync", reference, check=False)
        options = ["--snapshotter", "native", "--plain-http", *self._user]
        return self.call("images", "pull", *options, reference, check=check)

    def close(self) -> None:
        try:
            self._daemon.terminate()
            self._daemon.wait(100)
        finally:
            super().close()


class Docker(Client):
    program = "docker"

    def prepare(self) -> None:
        (self.work / "daemon.json").write_text('{"insecure-registries": ["127.0.0.0/8"], "storage-driver": "vfs"}')
        socket = f"unix://{self.runtime}/docker.sock"
        with (self.work / "dockerd.log").open("wb") as log:
            self._daemon = subprocess.Popen(
                [
                    *("dockerd", "--config-file", str(self.work / "daemon.json"), "--host", socket),
                    *("--iptables=false", "--bridge=none", "--ip-forward=false"),
                    *("--data-root", str(self.work / "root"), "--exec-root", str(self.runtime / "exec")),
                    *("--pidfile", str(self.work / "docker.pid")),
                ],
                stdout=log,
                stderr=log,
            )
        self.environment["DOCKER_HOST"] = socket
        run(["timeout", "100", "sh", "-c", f"until docker -H {socket} version; do sleep 0.2; done"])
        archive = self.work / "image.tar"
        run(["skopeo", "copy", f"oci:{self.layout}:v1", f"docker-archive:{archive}:local/app:v1"])
        self.call("load", "-i", str(archive))

    def login(self, registry: str, user: str, password: str) -> None:
        self.call("login", "-u", user, "-p", password, registry)

    def push(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        self.call("tag", "local/app:v1", reference)
        return self.push_reference(reference, check=check)

    def push_reference(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Push an image that is held under `reference` already."""
        return self.call("push", reference, check=check)

    def pull(self, reference: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        self.call("rmi", "-f", reference, check=False)
        return self.call("pull", reference, check=check)

    def close(self) -> None:
        try:
            self._daemon.terminate()
            self._daemon.wait(100)
        finally:
            super().close()


ALL: tuple[type[Client], ...] = (Crane, Skopeo, Podman, Buildah, Oras, Regctl, Helm, Containerd, Docker)
