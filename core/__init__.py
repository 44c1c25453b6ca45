"""Models and mathematics: no Streamlit here, and no network access outside ``core.bundles.hub``."""
