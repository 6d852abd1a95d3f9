"""What MLflow's clients ask of a server before they work with it."""

from __future__ import annotations

from typing import Any, Final

from autotrack.server.rest import calls
from autotrack.server.rest.parsing import Message
from autotrack.server.routing import READ
from autotrack.server.site import Site

_SERVER: Final = {
    "store_type": "SqlStore",  # clients know this and MLflow's folder of files; the first can do what ours do
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "features_enabled": {"gateway": False},
}


async def _server_info(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    return dict(_SERVER)


ENDPOINTS: Final = calls.endpoints("GET", "/server-info", Message("GetServerInfo"), _server_info, READ, version="3.0")
