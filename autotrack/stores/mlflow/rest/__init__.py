"""``http://HOST:PORT`` and ``https://HOST``: a real MLflow tracking server."""
