// What a person does: mouse, keys, buttons; and the beginning of it all.
"use strict";

/** The box at a point of the graph, or 0. */
function boxAt(app, x, y) {
    const {view} = app;
    const {a, b, width, top} = app.place;
    const level = view.levels[Math.floor((y + top) / ROW)];
    if (!level) {
        return 0;
    }
    const at = a + (b - a) * x / width;
    const i = firstBox(view, level, at);
    if (i >= level.length || view.x0[level[i]] > at) {
        return 0;
    }
    // What is too narrow to be drawn by itself is not one that was meant.
    return (view.x1[level[i]] - view.x0[level[i]]) * width / (b - a) < 1
        ? 0 : level[i];
}

function setUpPointer(app) {
    const canvas = app.canvas;
    let from = null;
    const at = (event) => {
        const box = canvas.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
        const [x, y] = at(event);
        from = {x, y, place: app.place, isDrag: false};
        canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
        const [x, y] = at(event);
        if (from !== null && (from.isDrag
                || Math.abs(x - from.x) + Math.abs(y - from.y) > 5)) {
            from.isDrag = true;
            const {a, b, width, top} = from.place;
            const by = (from.x - x) * (b - a) / width;
            byId("tip").hidden = true;
            app.move([a + by, b + by], top + from.y - y);
            return;
        }
        hover(app, boxAt(app, x, y), event);
    });
    canvas.addEventListener("pointerup", (event) => {
        const [x, y] = at(event);
        const isClick = from !== null && !from.isDrag;
        from = null;
        if (isClick) {
            const box = boxAt(app, x, y);
            if (box !== 0) {
                app.select(box, false);
                app.zoomTo(box);
            }
        }
    });
    canvas.addEventListener("pointerleave", (event) => hover(app, 0, event));
    canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        const unit = event.deltaMode === 1 ? 16 : 1;
        const {a, b, width, top} = app.place;
        if (event.ctrlKey || event.metaKey) {
            app.zoomAbout(at(event)[0], Math.exp(event.deltaY * unit / 300));
        } else {
            const aside = (event.shiftKey ? event.deltaY : event.deltaX) * unit
                * (b - a) / width;
            app.move(aside === 0 ? app.state.zoom : [a + aside, b + aside],
                     top + (event.shiftKey ? 0 : event.deltaY * unit));
        }
    }, {passive: false});
}

function hover(app, box, event) {
    if (box !== app.hovered) {
        app.hovered = box;
        app.draw();
        if (box !== 0) {
            fillTip(app, box);
            byId("status").textContent = statusText(app, box);
        }
    }
    if (box === 0) {
        byId("tip").hidden = true;
    } else {
        placeTip(event.clientX, event.clientY);
    }
}

// ---- Keys.

/** The box beside, above or below the selected one. */
function neighbourOf(app, key) {
    const {view, selected} = app;
    if (view.levels.length === 0) {
        return 0;
    }
    if (selected === 0) {
        return view.levels[0][firstBox(view, view.levels[0], app.place.a)] || 0;
    }
    if (key === "ArrowUp") {
        return view.parent[selected] || selected;
    }
    const d = view.depth[selected] + (key === "ArrowDown" ? 1 : 0);
    const level = view.levels[d];
    if (!level) {
        return selected;
    }
    if (key === "ArrowDown") {
        let best = 0;
        for (let i = firstBox(view, level, view.x0[selected]);
            i < level.length && view.x0[level[i]] < view.x1[selected]; i++) {
            if (best === 0 || view.total[level[i]] > view.total[best]) {
                best = level[i];
            }
        }
        return best || selected;
    }
    const i = firstBox(view, level, view.x0[selected])
        + (key === "ArrowLeft" ? -1 : 1);
    return level[i] === undefined ? selected : level[i];
}

function nextMatch(app) {
    const {matches} = app.look();
    if (matches === null) {
        return;
    }
    const {view} = app;
    for (let i = 1; i <= view.n; i++) {
        const box = (app.selected + i - 1) % view.n + 1;
        if (matches(box)) {
            app.select(box, true);
            return;
        }
    }
}

async function copyStack(app) {
    const box = app.selected || app.hovered;
    const status = byId("status");
    if (box === 0) {
        status.textContent = "Select a frame first: its stack is copied.";
        return;
    }
    const text = stackText(app, box);
    try {
        await navigator.clipboard.writeText(text);
    } catch (error) {
        // A page from a file may not have the clipboard: the older way.
        const area = make("textarea", {"aria-hidden": "true"});
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
    }
    status.textContent = "Copied: a stack of " + (text.split("\n").length - 2)
        + " frames.";
}

function graphKey(app, event) {
    const {a, b} = app.place;
    const size = b - a;
    switch (event.key) {
    case "ArrowLeft": case "ArrowRight": case "ArrowUp": case "ArrowDown":
        app.select(neighbourOf(app, event.key), true);
        return true;
    case "Enter": case " ":
        if (app.selected !== 0) {
            app.zoomTo(app.selected);
        }
        return true;
    case "PageDown": case "PageUp":
        app.move(app.state.zoom, app.state.top
            + (event.key === "PageDown" ? 0.8 : -0.8) * app.height);
        return true;
    case "w": app.zoomAbout(app.width / 2, 0.7); return true;
    case "s": app.zoomAbout(app.width / 2, 1 / 0.7); return true;
    case "a": case "d": {
        const by = size * (event.key === "a" ? -0.2 : 0.2);
        app.move([a + by, b + by], app.state.top);
        return true;
    }
    default:
        return false;
    }
}

function pageKey(app, key) {
    const actions = {
        "1": () => app.change({view: "top"}),
        "2": () => app.change({view: "inverted"}),
        "3": () => app.change({view: "time"}),
        "4": () => app.change({by: "function"}),
        "5": () => app.change({by: "line"}),
        "/": () => byId("search").focus(),
        "n": () => nextMatch(app),
        "c": () => copyStack(app),
        "b": () => toggleSide(app),
        "t": () => byId("theme").click(),
        "?": () => byId("help").showModal(),
        "Escape": () => reset(app),
    };
    if (actions[key] === undefined) {
        return false;
    }
    actions[key]();
    return true;
}

function reset(app) {
    if (app.state.span) {
        app.change({span: null, zoom: null, top: 0});
    } else {
        app.zoomTo(0);
    }
}

function setUpKeys(app) {
    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey
                || byId("help").open) {
            return;
        }
        const {target} = event;
        if (target === byId("search")) {
            if (event.key === "Escape") {
                target.value = "";
                app.change({query: ""}, false);
                app.canvas.focus();
            } else if (event.key === "Enter") {
                nextMatch(app);
            }
            return;
        }
        if (target.tagName === "SELECT") {
            return;
        }
        const isGraph = target === app.canvas || target === document.body;
        if ((isGraph && graphKey(app, event)) || pageKey(app, event.key)) {
            event.preventDefault();
        }
    });
}

// ---- Buttons.

function setUpBar(app) {
    for (const group of ["view", "by", "widths"]) {
        byId(group).addEventListener("click", (event) => {
            if (event.target.value) {
                app.change({[group]: event.target.value});
            }
        });
    }
    for (const key of ["colour", "scale"]) {
        byId(key).addEventListener("change", (event) =>
            app.change({[key]: event.target.value}));
    }
    byId("thread").addEventListener("change", (event) =>
        app.change({thread: Number(event.target.value)}));
    byId("search").addEventListener("input", (event) =>
        app.change({query: event.target.value}, false));
    byId("back").addEventListener("click", () => history.back());
    byId("forward").addEventListener("click", () => history.forward());
    byId("reset").addEventListener("click", () => reset(app));
    byId("copy").addEventListener("click", () => copyStack(app));
    byId("png").addEventListener("click", () => savePng(app));
    byId("svg").addEventListener("click", () => saveSvg(app));
    byId("help-button").addEventListener("click", () =>
        byId("help").showModal());
    for (const key of ["self", "total", "name"]) {
        byId("by-" + key).addEventListener("click", () => {
            app.sort = key;
            fillTable(app);
        });
    }
}

function toggleSide(app) {
    document.body.classList.toggle("no-side");
    remember("side-hidden",
             document.body.classList.contains("no-side") ? "1" : "");
    app.resize();
    app.draw();
}

function setUpDivider(app) {
    const divider = byId("divider");
    const set = (width) => {
        const wide = Math.min(Math.max(width, 220), innerWidth - 260);
        document.documentElement.style.setProperty("--side", wide + "px");
        divider.setAttribute("aria-valuenow", String(Math.round(wide)));
        divider.setAttribute("aria-valuemin", "220");
        divider.setAttribute("aria-valuemax", String(innerWidth - 260));
        remember("side", String(wide));
    };
    set(Number(recall("side")) || 360);
    document.body.classList.toggle("no-side", recall("side-hidden") === "1");
    divider.addEventListener("pointerdown", (event) =>
        divider.setPointerCapture(event.pointerId));
    divider.addEventListener("pointermove", (event) => {
        if (divider.hasPointerCapture(event.pointerId)) {
            set(innerWidth - event.clientX);
        }
    });
    divider.addEventListener("keydown", (event) => {
        const by = {ArrowLeft: 20, ArrowRight: -20}[event.key];
        if (by) {
            set(Number(divider.getAttribute("aria-valuenow")) + by);
            event.preventDefault();
            event.stopPropagation();
        }
    });
}

// ---- Pictures.

function save(blob, name) {
    const link = make("a", {download: name});
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** The whole height of what is shown, not only what is in sight. */
function pictureSize(app) {
    const height = Math.min(app.view.levels.length * ROW + 4, 6000);
    return {place: Object.assign(app.place, {top: 0, height}), height};
}

function savePng(app) {
    const {place, height} = pictureSize(app);
    const canvas = make("canvas", {});
    canvas.width = app.width * 2;
    canvas.height = height * 2;
    const painter = new CanvasPainter(canvas.getContext("2d", {alpha: false}));
    painter.begin(app.width, height, 2, app.dark ? "#15181d" : "#ffffff");
    drawView(painter, app.model, app.view, place,
             Object.assign(app.look(), {selected: 0, hovered: 0}));
    canvas.toBlob((blob) => save(blob, "flamegraph.png"));
}

function saveSvg(app) {
    const {place, height} = pictureSize(app);
    app.isPrinting = true; // light, whatever the page is
    const painter = new SvgPainter(app.painter.measure);
    drawView(painter, app.model, app.view, place, app.look());
    app.isPrinting = false;
    save(new Blob([painter.finish(app.width, height,
                                  byId("verdict").textContent)],
                  {type: "image/svg+xml"}), "flamegraph.svg");
}

function setUpPrint(app) {
    const set = (isPrinting) => {
        app.isPrinting = isPrinting;
        app.drawNow();
        drawStrips(app);
    };
    addEventListener("beforeprint", () => set(true));
    addEventListener("afterprint", () => set(false));
}

// ---- The beginning.

function fillThreads(app) {
    const select = byId("thread");
    select.append(make("option", {value: "-1"}, "all "
        + app.model.threads.length));
    app.model.threads.forEach((thread, t) => {
        select.append(make("option", {value: String(t)}, threadLabel(thread)
            + " (" + percent(thread.samples, app.model.total) + ")"));
    });
    byId("thread-label").hidden = app.model.threads.length < 2;
}

function showComparison(app) {
    byId("widths").hidden = !app.model.isDiff;
    byId("scale-label").hidden = !app.model.isDiff;
    if (app.model.isDiff) {
        byId("title").textContent = "Compared";
        document.title = "Flame graph, compared";
        byId("colour").prepend(make("option", {value: "difference"}, "change"));
        byId("by").hidden = true; // a comparison knows no lines
    }
}

function start() {
    const app = new App(readModel());
    globalThis.pyprof = app;
    showComparison(app);
    fillThreads(app);
    setUpDivider(app);
    makeStrips(app);
    app.resize();
    app.update();
    app.drawNow();
    setUpTheme(byId("theme"), () => {
        app.draw();
        drawStrips(app);
    });
    setUpPointer(app);
    setUpKeys(app);
    setUpBar(app);
    setUpPrint(app);
    addEventListener("popstate", () => {
        app.state = readState(location.hash, app.model);
        app.update();
    });
    new ResizeObserver(() => {
        app.resize();
        app.clampPlace();
        app.drawNow();
        drawStrips(app);
    }).observe(byId("graph-box"));
}

try {
    start();
} catch (error) {
    document.body.replaceChildren(
        make("p", {role: "alert"}, "This page can't be shown: " + error.message));
    throw error;
}
