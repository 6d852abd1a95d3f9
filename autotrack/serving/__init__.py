"""One model behind ``/invocations``: reading rows, predicting, answering."""
