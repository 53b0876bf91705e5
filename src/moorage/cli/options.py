"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.", show_default="4580")]
Data = Annotated[Path | None, typer.Option(help="Directory of the data.", show_default="./moorage-data")]
Workers = Annotated[int | None, typer.Option(help="Worker processes.", show_default="1")]
Profile = Annotated[str | None, typer.Option(help="Data plane: oci or aws.", show_default="oci")]
UriStyle = Annotated[str | None, typer.Option(help="Format of repositoryUri: request, aws, host or path.")]
PublicUrl = Annotated[str | None, typer.Option(help="URL by which clients reach this server.")]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate chain (PEM).", exists=True, dir_okay=False)]
TlsKey = Annotated[Path | None, typer.Option(help="Private key (PEM).", exists=True, dir_okay=False)]
DatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://…; default: SQLite in the data directory.")]
AccessLog = Annotated[bool | None, typer.Option("--access-log", help="Log every request.")]
LogFormat = Annotated[str | None, typer.Option(help="text or json.")]
ServerPort = Annotated[
    int | None, typer.Option("--port", help="Port of the server on this machine.", show_default="4580")
]
AwsProfile = Annotated[
    str | None, typer.Option("--profile", help="Profile of the AWS CLI whose key is used.", show_default="AWS_PROFILE")
]
Region = Annotated[str | None, typer.Option(help="AWS region.", show_default="us-east-1")]
