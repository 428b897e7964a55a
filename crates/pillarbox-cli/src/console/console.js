// Adds live updates of lists and keyboard shortcuts to pages that work without scripts.
"use strict";

(() => {
  const MAX_ROWS = 1000;
  const SILENCE_MS = 40000;
  const PAUSED = "pillarbox-paused";

  const byId = (id) => document.getElementById(id);
  const table = byId("notifications");
  const title = document.title;

  // A browser may refuse to store anything.
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* kept for this page only */ } };

  const cell = (name, text, tag) => {
    const td = document.createElement(name === "Received" ? "th" : "td");
    td.setAttribute("role", name === "Received" ? "rowheader" : "cell");
    if (name === "Received") td.scope = "row";
    if (name === "Attempts") td.className = "number";
    const label = document.createElement("span");
    label.className = "label";
    label.setAttribute("aria-hidden", "true");
    label.textContent = name;
    const value = tag || document.createElement("span");
    if (!tag) { value.className = "value"; value.dataset.cell = name.toLowerCase(); }
    if (text !== null) value.textContent = text;
    td.append(label, value);
    return td;
  };

  const stateTag = (state) => {
    const tag = document.createElement("strong");
    tag.className = "tag " + state;
    tag.textContent = state;
    return tag;
  };

  const rowOf = (line) => {
    const row = document.createElement("tr");
    row.setAttribute("role", "row");
    row.dataset.key = line.key;
    const link = document.createElement("a");
    link.href = line.address;
    const time = document.createElement("time");
    time.dateTime = time.textContent = line.received_at;
    const key = document.createElement("span");
    key.className = "hidden";
    key.textContent = " " + line.key;
    link.append(time, key);
    const state = cell("State", null);
    state.lastChild.append(stateTag(line.state));
    row.append(cell("Received", null, link), cell("Source", line.source), cell("Event", line.event),
      cell("Payment or box", line.subject), cell("Origin", line.origin), state,
      cell("Reason", line.reason), cell("Attempts", line.attempts));
    return row;
  };

  const rowWith = (key) => table && [...table.tBodies[0].rows].find((row) => row.dataset.key === key);

  const follow = (live) => {
    const [state, pause, news, count, show, announce] =
      ["state", "pause", "new", "count", "show", "announce"].map((name) => byId("live-" + name));
    let source = null, last = null, retryMs = 1000, watchdog = 0, reload = null;
    const waiting = new Map();

    const showState = (word) => { state.textContent = word; state.dataset.state = word.toLowerCase(); };

    let announced = 0;
    const showCount = () => {
      const n = waiting.size;
      const text = reload || (n === 1 ? "1 new notification" : n + " new notifications");
      news.hidden = !reload && n === 0;
      count.textContent = text;
      document.title = reload || n ? "(" + (reload ? "new" : n + " new") + ") " + title : title;
      clearTimeout(announced);
      // Only counts are announced, at most once a second, never rows.
      announced = setTimeout(() => { announce.textContent = news.hidden ? "" : text; }, 1000);
    };

    const insert = () => {
      if (reload || !table || waiting.size > MAX_ROWS) { location.reload(); return; }
      const body = table.tBodies[0];
      for (const line of waiting.values()) body.prepend(rowOf(line));
      while (body.rows.length > MAX_ROWS) body.lastElementChild.remove();
      const first = body.rows[0];
      waiting.clear();
      showCount();
      if (first) first.querySelector("a").focus();
    };

    const change = (line) => {
      if (waiting.has(line.key)) { waiting.set(line.key, line); return; }
      const row = rowWith(line.key);
      if (!row) return;
      row.querySelector("[data-cell=state]").replaceChildren(stateTag(line.state));
      row.querySelector("[data-cell=reason]").textContent = line.reason;
      row.querySelector("[data-cell=attempts]").textContent = line.attempts;
    };

    const markConnected = () => {
      showState("Connected");
      retryMs = 1000;
      clearTimeout(watchdog);
      watchdog = setTimeout(reconnect, SILENCE_MS);
    };

    const on = (name, act) => source.addEventListener(name, (event) => {
      markConnected();
      if (event.lastEventId) last = event.lastEventId;
      act(JSON.parse(event.data));
    });

    const close = () => { clearTimeout(watchdog); if (source) source.close(); source = null; };

    const open = () => {
      close();
      const address = new URL(live.dataset.stream, location.href);
      if (last) address.searchParams.set("latest", last);
      source = new EventSource(address);
      on("heartbeat", () => {});
      on("new", (line) => {
        if (!rowWith(line.key)) waiting.set(line.key, line);
        if (waiting.size > MAX_ROWS) reload = "More than " + MAX_ROWS + " new notifications";
        showCount();
      });
      on("change", change);
      on("reload", (message) => { reload = message.text; showCount(); });
      on("failed", () => showState("The inbox cannot be read"));
      source.onerror = reconnect;
    };

    // Reconnects after a delay that doubles, up to 30 seconds.
    const reconnect = () => {
      close();
      showState("Reconnecting");
      watchdog = setTimeout(open, retryMs);
      retryMs = Math.min(retryMs * 2, 30000);
    };

    const setPaused = (paused) => {
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Resume updates" : "Pause updates";
      store(PAUSED, paused ? "yes" : "no");
      if (paused) { close(); showState("Paused"); } else { showState("Connecting"); open(); }
    };

    pause.addEventListener("click", () => setPaused(source !== null || state.dataset.state === "reconnecting"));
    show.addEventListener("click", insert);
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => { if (event.persisted && state.dataset.state !== "paused") open(); });
    live.hidden = false;
    setPaused(stored(PAUSED) === "yes");
  };

  const move = (step) => {
    if (!table) return;
    const links = [...table.querySelectorAll("tbody th a")];
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step];
    if (next) next.focus();
  };

  const copy = () => {
    const row = document.activeElement.closest("[data-key]") || document.querySelector("[data-key][data-open]");
    if (!row || !navigator.clipboard) return;
    navigator.clipboard.writeText(row.dataset.key).then(() => {
      const status = byId("live-announce") || byId("announce");
      if (status) status.textContent = "Key copied";
    }, () => {});
  };

  const act = (key) => {
    const target = document.querySelector("[data-shortcut=" + key + "]");
    if (target) target.focus(), target.click();
  };

  const keys = {
    j: () => move(1), k: () => move(-1), r: () => act("r"), c: copy,
    "/": () => byId("search") && byId("search").focus(),
    "?": () => byId("shortcuts") && byId("shortcuts").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (document.body.dataset.shortcuts !== "on") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing || document.querySelector("dialog[open]") || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  const live = byId("live");
  if (live && "EventSource" in window) follow(live);
})();
