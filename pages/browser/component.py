"""One way to mount an ES module as a component of Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from pages.browser import serving
from pages.shared import links
from pages.shared.text import _, language

_STUB = """
// The module comes from the app's own server, once a visit; its figure outlives runs of the page.
export default (component) => {
  const root = component.parentElement.querySelector(".root"); // next to Streamlit's own style
  root.latest = component;
  const show = async () => {
    const { open } = await import(new URL(component.data.module, window.location.origin).href);
    if (root.latest !== component) return; // another run of the page has come meanwhile
    root.figure ??= open(root);
    root.figure.update(component.data, component.setStateValue);
  };
  show().catch((error) => {
    console.error(error);
    root.textContent = component.data.failed;
  });
  return () => {
    if (root.latest !== component) return; // of an earlier run
    root.figure?.close();
    root.figure = root.latest = undefined;
  };
};
"""


class Component:
    """An ES module of ``modules`` with its styles, which pages mount as often as they like.

    The module exports ``open(root)``, which returns a figure: ``update(data, send)`` is called with
    every run of the page, ``close()`` when the figure leaves it. ``send("value", value)`` runs the page,
    or the fragment, with that value.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        styles = "\n".join(
            (serving.MODULES / f"{part}.css").read_text("utf-8") for part in ("common", name)
        )
        self._mount = st.components.v2.component(
            f"latent_atelier_{name}", html='<div class="root"></div>', css=styles, js=_STUB
        )

    def __call__(
        self, key: str, data: Mapping[str, object], taken: Callable[[], None] = lambda: None
    ) -> None:
        """Mounts it; ``taken`` is called when it has sent another ``st.session_state[key].value``."""
        links.stay()
        self._mount(
            key=key,
            data={
                "module": serving.module(f"{self.name}.js"),
                "failed": _("This figure could not be loaded: reload the page."),
                "language": language(),
                **data,
            },
            on_value_change=taken,
        )
