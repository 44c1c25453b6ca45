"""What pages share: text in two languages, controls bound to the URL, figures, cached loaders."""
