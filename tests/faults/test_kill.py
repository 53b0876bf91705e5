"""kill -9 while images are pushed: every image whose push was acknowledged pulls afterwards."""

import threading
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.pushing import push_image
from tests.running import RunningServer


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data").start()
    server.client("ecr").create_repository(repositoryName="kill/app")
    acknowledged: dict[str, str] = {}
    stop = threading.Event()

    def push_on(number: int) -> None:
        ecr: Any = server.client("ecr")
        for serial in range(10_000):
            if stop.is_set():
                return
            tag = f"t{number}-{serial}"
            try:
                acknowledged[tag] = push_image(ecr, "kill/app", tag, content=tag.encode())
            except Exception:  # noqa: BLE001 - the server is being killed under this client
                if not stop.is_set():
                    time.sleep(0.05)

    threads = [threading.Thread(target=push_on, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(1.0)
        server.kill()
        server.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert len(acknowledged) > 10
    ecr = server.client("ecr")
    tags = sorted(acknowledged)
    for start in range(0, len(tags), 100):
        asked = [{"imageTag": tag} for tag in tags[start : start + 100]]
        got = ecr.batch_get_image(repositoryName="kill/app", imageIds=asked)
        assert got["failures"] == []
        assert {each["imageId"]["imageTag"]: each["imageId"]["imageDigest"] for each in got["images"]} == {
            one["imageTag"]: acknowledged[one["imageTag"]] for one in asked
        }
    assert server.stop() == 0
