"""One run, whatever the model: start, resume, finish."""
