"""Models behind a URL: our scoring server beside MLflow's, on the same folder, under the same load."""
