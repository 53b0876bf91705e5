"""The ASGI application for web pages: the start page that a browser gets at `/`."""

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, Router

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
"""The page runs no script, loads nothing and cannot be framed."""

_START: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Moorage</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1.5rem; }
  h1 { margin-bottom: 0; }
  pre { overflow-x: auto; padding: 0.75rem 1rem; border: 1px solid color-mix(in srgb, currentColor 20%, transparent);
        border-radius: 0.4rem; }
</style>
</head>
<body>
<h1>Moorage</h1>
<p>This is a container registry that speaks Amazon ECR. It is running.</p>
<p>To use it from this machine, point the AWS CLI at it and log in:</p>
<pre>eval "$(moorage env)"
moorage login
aws ecr describe-repositories</pre>
<p>From another machine, name the server:</p>
<pre>moorage login HOST:PORT
docker pull HOST:PORT/REPOSITORY:TAG</pre>
<p>If a push or pull is denied, <code>moorage why</code> shows which policy denied it.
If a client cannot connect, <code>moorage doctor HOST:PORT</code> shows the reason.</p>
</body>
</html>
"""


async def _start_page(request: Request) -> Response:
    del request
    return HTMLResponse(_START, headers=_HEADERS)


def console_app() -> Router:
    """Return the ASGI application for web pages."""
    return Router([Route("/", _start_page, methods=["GET"])], redirect_slashes=False)
