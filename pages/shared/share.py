"""The link of what is shown, to hand out and to come back to.

On a Space the app stands in a frame, and the browser's address bar shows the page around it: what
the controls say is in the frame's own address only. That address opens the app by itself and
restores them.
"""

from __future__ import annotations

import streamlit as st

from pages.shared.text import N_, _, language

_HTML = """
<div class="share">
  <button type="button"></button>
  <span role="status"></span>
  <input type="text" readonly hidden />
</div>
"""

_CSS = """
.share {
  align-items: center;
  display: flex;
  flex-wrap: wrap;
  font: 400 calc(0.9 * var(--st-base-font-size)) var(--st-font);
  gap: 0.5rem;
}
button {
  background: var(--st-background-color);
  border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius);
  color: var(--st-text-color);
  cursor: pointer;
  font: inherit;
  min-height: 2.5rem;
  padding: 0.25rem 0.75rem;
}
button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:focus-visible, input:focus-visible {
  outline: 2px solid var(--st-primary-color);
  outline-offset: 2px;
}
span { color: var(--st-text-color); }
input {
  background: var(--st-background-color);
  border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius);
  box-sizing: border-box;
  color: var(--st-text-color);
  flex: 1 0 100%;
  font: inherit;
  min-width: 0;
  padding: 0.5rem;
}
input[hidden] { display: none; }
"""

_JS = """
// On the way back Streamlit opens the page of a history entry without what the entry's address says
// (streamlit/streamlit#9279), and before it opens another page it empties the address of the one that is
// left. Here a page is one entry, which keeps the address that it was left with, and the way back loads
// that address, which restores the page.
const keepHistory = () => {
  if (window.latentAtelierHistory) return;
  window.latentAtelierHistory = true;
  const { history } = window;
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  const here = () => window.location.pathname + window.location.search;
  let [left, shown] = [window.location.href, here()];
  for (const kind of ["click", "keydown"])
    document.addEventListener(kind, () => (left = window.location.href), { capture: true });
  history.replaceState = (...state) => {
    replace(...state);
    shown = here();
  };
  history.pushState = (state, unused, url) => {
    const path = (address) => new URL(address ?? "", window.location.href).pathname;
    const own = window.location.pathname;
    if (path(url) === own) {
      history.replaceState(state, unused, url);
      return;
    }
    if (path(left) === own) replace(history.state, unused, left);
    push(state, unused, url);
    shown = here();
  };
  const back = (event) => {
    if (here() === shown) return; // a jump within the page
    event.stopImmediatePropagation();
    window.location.reload();
  };
  window.addEventListener("popstate", back, { capture: true });
};

export default ({ data, parentElement }) => {
  document.documentElement.lang = data.language; // what a screen reader pronounces the page in
  keepHistory();
  const [button, status, field] = ["button", "[role=status]", "input"].map((part) =>
    parentElement.querySelector(part)
  );
  button.textContent = data.label;
  field.setAttribute("aria-label", data.field);

  // A link once copied is not that of what is shown later: what was said of it goes.
  const forget = () => {
    status.textContent = "";
    field.hidden = true;
  };
  let timer;
  button.onclick = async () => {
    const address = new URL(window.location.href);
    address.searchParams.set("lang", data.language);
    address.searchParams.delete("host"); // who has it leads the room
    const link = address.href;
    clearTimeout(timer);
    forget();
    try {
      await navigator.clipboard.writeText(link);
      status.textContent = data.copied;
      timer = setTimeout(forget, 6000);
    } catch {
      // No permission in this frame, or no https and therefore no clipboard.
      field.value = link;
      field.hidden = false;
      field.focus();
      field.select();
      status.textContent = data.by_hand;
    }
  };
  field.onblur = forget;
  return () => clearTimeout(timer);
};
"""

BY_HAND = N_("The browser refuses its clipboard: copy the link from here.")
FIELD = N_("Link to what is shown")
_COPY_LINK = st.components.v2.component("latent_atelier_copy_link", html=_HTML, css=_CSS, js=_JS)


def copy_link() -> None:
    """A button that copies the address with all that the controls say, for the sidebar.

    Where the browser refuses its clipboard the link stands in a text field, selected.
    """
    _COPY_LINK(
        key="copy_link",
        data={
            "language": language(),
            "label": _("Copy link"),
            "copied": _("Copied"),
            "by_hand": _(BY_HAND),
            "field": _(FIELD),
        },
    )
