"""The tracking server and the pages: MLflow's REST API, a web UI and what looks after both, over any store."""
