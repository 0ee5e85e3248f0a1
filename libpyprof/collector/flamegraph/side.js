// Beside the graph: the table of functions, one function in detail, figures,
// the legend; above it the verdict and the threads over time.
"use strict";

const ROWS_SHOWN = 200;

// ---- The verdict: what is slow, and who calls it, in words.

function bold(text) {
    return make("b", {}, text);
}

function place(f) {
    return f.line > 0 ? tail(f.file) + ":" + f.line : tail(f.file);
}

function verdict(model, sums, total, sampleSeconds) {
    const parts = document.createDocumentFragment();
    let top = 0;
    for (let f = 1; f < model.functions.length; f++) {
        if (sums.self[f] > (top === 0 ? 0 : sums.self[top])) {
            top = f;
        }
    }
    const sum = total[0];
    if (top === 0) {
        parts.append("No samples.");
        return parts;
    }
    const f = model.functions[top];
    parts.append(bold(percent(sums.self[top], sum)), " of "
        + seconds(sum * sampleSeconds) + " of thread time is in ", bold(f.name));
    if (f.file !== "~") {
        parts.append(" (" + place(f) + ")");
    }
    const callers = neighbours(model, total, top).callers;
    if (callers.length > 0 && callers[0][0] !== 0) {
        parts.append(", called from " + model.functions[callers[0][0]].name);
    }
    const waits = gilWaits(model);
    parts.append((waits === "" ? "" : "; " + waits) + ".");
    return parts;
}

function gilWaits(model) {
    const known = model.threads.filter((t) => t.gilKnown > 0);
    const waiting = known.filter((t) => t.gilRequested > t.gilKnown / 10);
    if (waiting.length === 0) {
        return "";
    }
    const sum = (key) => waiting.reduce((s, t) => s + t[key], 0);
    return waiting.length + " of " + known.length
        + (known.length === 1 ? " thread waits" : " threads wait")
        + " for the GIL " + percent(sum("gilRequested"), sum("gilKnown"))
        + " of the time";
}

/** The verdict of a comparison. */
function changeVerdict(model, sums, before, scale, total) {
    const parts = document.createDocumentFragment();
    let most = 0;
    let size = 0;
    for (let f = 1; f < model.functions.length; f++) {
        const change = sums.self[f] - before.self[f] * scale;
        if (Math.abs(change) > Math.abs(size)) {
            most = f;
            size = change;
        }
    }
    if (most === 0 || !total) {
        parts.append("No function changed.");
        return parts;
    }
    const f = model.functions[most];
    parts.append("The largest change is in ", bold(f.name), f.file === "~" ? ""
        : " (" + tail(f.file) + ")", ": from "
        + percent(before.self[most] * scale, total) + " to ",
    bold(percent(sums.self[most], total)), " of the time.");
    return parts;
}

// ---- The table.

function functionRow(app, number, base) {
    const {sums, model} = app;
    const f = model.functions[number];
    const row = make("tr", {});
    const button = make("button", {tabindex: "-1"}, f.name);
    const small = f.file === "~" ? "" : place(f);
    row.append(make("td", {}, percent(sums.self[number], base)),
               make("td", {}, percent(sums.total[number], base)),
               make("td", {title: f.name + "\n" + functionPlace(f)}, button,
                    make("small", {}, small)));
    row.addEventListener("click", () => app.chooseFunction(number));
    if (number === app.chosen) {
        row.className = "chosen";
    }
    return row;
}

function fillTable(app) {
    const {sums, model, sort} = app;
    const base = app.total[0];
    const order = [];
    for (let f = 1; f < model.functions.length; f++) {
        if (sums.total[f] > 0 && (app.hits === null || app.hits[f])) {
            order.push(f);
        }
    }
    const name = (f) => model.functions[f].name;
    order.sort(sort === "name"
        ? (a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : a - b)
        : (a, b) => sums[sort][b] - sums[sort][a]
            || sums.total[b] - sums.total[a] || a - b);
    const rows = order.slice(0, ROWS_SHOWN)
        .map((f) => functionRow(app, f, base));
    byId("rows").replaceChildren(...rows);
    byId("more").textContent = order.length > ROWS_SHOWN
        ? "The first " + ROWS_SHOWN + " of " + count(order.length)
            + ": search for the others." : "";
    for (const key of ["self", "total", "name"]) {
        const head = byId("by-" + key).parentElement;
        if (key === sort) {
            head.setAttribute("aria-sort",
                              key === "name" ? "ascending" : "descending");
        } else {
            head.removeAttribute("aria-sort");
        }
    }
}

// ---- One function.

function linkList(app, title, pairs, base) {
    if (pairs.length === 0) {
        return [];
    }
    const list = make("ul", {});
    for (const [number, samples] of pairs.slice(0, 6)) {
        const f = app.model.functions[number];
        const label = f === null ? "(smaller)" : f.name;
        const button = make("button", {title: label}, label);
        button.addEventListener("click", () => app.chooseFunction(number));
        list.append(make("li", {}, make("span", {}, percent(samples, base)),
                         button));
    }
    return [make("h3", {}, title), list];
}

function lineList(app, number, base) {
    const lines = linesOf(app.model, app.self, app.total, number)
        .filter((line) => app.model.items.line[line.item] > 0).slice(0, 6);
    if (lines.length === 0) {
        return [];
    }
    const list = make("ul", {});
    for (const line of lines) {
        const source = app.model.items.source;
        const text = app.model.items.line[line.item] + "  "
            + (source ? source[line.item - 1] : "");
        list.append(make("li", {}, make("span", {}, percent(line.total, base)),
                         make("code", {title: text}, text)));
    }
    return [make("h3", {}, "Lines, by total"), list];
}

function fillDetails(app) {
    const box = byId("details");
    const number = app.chosen;
    const f = number > 0 ? app.model.functions[number] : null;
    box.hidden = f === null;
    if (f === null) {
        return;
    }
    const base = app.total[0];
    const {callers, callees} = neighbours(app.model, app.total, number);
    const named = (pairs) => pairs.filter(([n]) => n !== 0);
    const self = app.sums.self[number];
    const total = app.sums.total[number];
    box.replaceChildren(
        make("h2", {}, f.name),
        make("p", {class: "place"}, functionPlace(f) || KINDS[f.kind]),
        make("div", {}, "Self " + percent(self, base) + " \u00b1 "
            + digits(uncertainty(self, base)) + ", total " + percent(total, base)
            + " \u00b1 " + digits(uncertainty(total, base)) + " of "
            + count(base) + " samples"),
        ...lineList(app, number, base),
        ...linkList(app, "Called from", named(callers), base),
        ...linkList(app, "Calls", named(callees), base));
}

// ---- Figures.

const MODES = ["wall: all the time", "cpu: time on a CPU",
               "gil: time with the GIL", "all", "exception: while handling one"];

function fact(list, name, value) {
    if (value !== "") {
        list.append(make("dt", {}, name), make("dd", {}, value));
    }
}

function share(part, whole) {
    return whole > 0 ? percent(part, whole) : "";
}

function fillFigures(app) {
    const {model} = app;
    const {meta} = model;
    const list = make("dl", {});
    const threads = app.state.thread >= 0 ? [model.threads[app.state.thread]]
        : model.threads;
    const sum = (key) => threads.reduce((s, t) => s + t[key], 0);
    fact(list, "Samples shown", count(app.total[0]) + " stacks, "
        + seconds(app.total[0] * model.sampleSeconds) + " of thread time");
    fact(list, "Sampled", seconds(meta.duration / 1e9) + ", "
        + count(meta.rounds) + " rounds, "
        + digits(meta.rounds / Math.max(1e-9, meta.duration / 1e9)) + " a second");
    fact(list, "Of", (meta.pid ? "process " + meta.pid : "")
        + (meta.python ? ", Python " + (meta.python >> 8) + "."
            + (meta.python & 255) : "")
        + (meta.startedMs ? ", " + new Date(meta.startedMs).toLocaleString()
            : ""));
    fact(list, "Mode", MODES[meta.mode] || "");
    fact(list, "With the GIL", share(sum("gil"), sum("gilKnown")));
    fact(list, "Waits for the GIL", share(sum("gilRequested"), sum("gilKnown")));
    fact(list, "On a CPU", share(sum("cpu"), sum("cpuKnown")));
    const seen = sum("samples") + sum("empty");
    fact(list, "In the GC", share(sum("gc"), seen));
    fact(list, "Handles an exception", share(sum("exception"), seen));
    fact(list, "Not whole", count(sum("torn")) + " torn, "
        + count(sum("unreadable")) + " unreadable, " + count(sum("empty"))
        + " without Python");
    fact(list, "Rounds missed", count(meta.missed));
    fact(list, "Functions", count(app.sums.total.filter((x) => x > 0).length));
    if (meta.folded > 0) {
        fact(list, "Folded", count(meta.folded)
            + " smallest nodes, into blocks (N smaller)");
    }
    if (meta.tick > meta.firstTick) {
        fact(list, "Time order", "one sample of "
            + Math.round(meta.tick / meta.firstTick) + " is kept");
    }
    if (meta.baseline) {
        fact(list, "Baseline", seconds(meta.baseline.duration / 1e9) + ", "
            + count(meta.baseline.rounds) + " rounds"
            + (meta.baseline.capture === meta.capture ? ""
                : "; sampled with other options"));
    }
    byId("facts").replaceChildren(...list.childNodes);
    fillLegend(app);
}

function swatch(fill, text) {
    const mark = make("i", {});
    mark.style.background = fill;
    return make("span", {}, mark, text);
}

function fillLegend(app) {
    const legend = byId("legend");
    const {colour} = app.state;
    const parts = [];
    if (colour === "kind") {
        KINDS.forEach((name, kind) => {
            if (app.model.functions.some((f) => f && f.kind === kind)) {
                parts.push(swatch(hsl(...KIND_FILLS[kind]), name));
            }
        });
    } else if (colour === "heat") {
        parts.push(swatch(HEAT[0], "self below 0.1 %"),
                   swatch(HEAT[3], "3 %"), swatch(HEAT[6], "25 % and more"));
    } else if (colour === "difference") {
        parts.push(swatch(MORE[3], "more than twice"), swatch(MORE[1], "more"),
                   swatch("#e6e6e3", "within 5 %"), swatch(LESS[1], "less"),
                   swatch(LESS[3], "none left, or nearly"), swatch("#d9b3e6", "new"),
                   swatch("#b9a8dd", "gone"));
    } else {
        parts.push(make("span", {}, "a colour for each module"));
    }
    const seen = new Set(app.model.log.flatMap((runs) => [...new Set(runs.state)]));
    const fills = app.dark ? STATE_FILLS_DARK : STATE_FILLS;
    const states = [...seen].sort().map((state) =>
        swatch(fills[state], STATES[state]));
    legend.replaceChildren(make("h3", {}, "Frames"), ...parts,
                           make("h3", {}, "Threads over time"), ...states);
}

// ---- Threads over time.

function stripRow(app, t) {
    const thread = app.model.threads[t];
    const canvas = make("canvas", {height: "14", "aria-hidden": "true"});
    const button = make("button", {title: threadLabel(thread)
        + ": show only this thread, or all again"},
    make("span", {}, threadLabel(thread)),
    make("span", {}, percent(thread.samples, app.model.total)));
    button.addEventListener("click", () =>
        app.change({thread: app.state.thread === t ? -1 : t}));
    setUpSpan(app, canvas);
    return {row: make("div", {class: "strip"}, button, canvas), canvas, button, t};
}

/** Dragging over a strip selects a span of time; a click ends that. */
function setUpSpan(app, canvas) {
    let from = null;
    const at = (event) => {
        const box = canvas.getBoundingClientRect();
        const x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
        return x * app.model.ticks;
    };
    canvas.addEventListener("pointerdown", (event) => {
        from = at(event);
        canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
        if (from !== null) {
            app.dragged = [Math.min(from, at(event)), Math.max(from, at(event))];
            drawStrips(app);
        }
    });
    canvas.addEventListener("pointerup", (event) => {
        if (from === null) {
            return;
        }
        const span = [Math.min(from, at(event)), Math.max(from, at(event))];
        const isDrag = span[1] - span[0] > app.model.ticks / 300;
        from = null;
        app.dragged = null;
        app.change({span: isDrag ? span.map(Math.round) : null});
    });
}

/** By pixel, the state that a thread is in most. */
function drawStrip(app, strip) {
    const {canvas} = strip;
    const width = Math.max(1, canvas.clientWidth);
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = 14 * ratio;
    const context = canvas.getContext("2d");
    const fills = app.dark ? STATE_FILLS_DARK : STATE_FILLS;
    const runs = app.model.log[strip.t];
    const scale = canvas.width / Math.max(1, app.model.ticks);
    context.fillStyle = app.dark ? "#20252d" : "#f0f2f5";
    context.fillRect(0, 0, canvas.width, canvas.height);
    let shares = new Float64Array(STATES.length);
    let pixel = 0;
    const flush = () => {
        let most = -1;
        shares.forEach((s, state) => {
            if (s > 0 && (most < 0 || s > shares[most])) {
                most = state;
            }
        });
        if (most >= 0) {
            context.fillStyle = fills[most];
            context.fillRect(pixel, 0, 1, canvas.height);
        }
        shares = new Float64Array(STATES.length);
    };
    for (let i = 0; i < runs.start.length; i++) {
        const end = runs.end[i] * scale;
        let at = runs.start[i] * scale;
        while (at < end) {
            const here = Math.floor(at);
            if (here !== pixel) {
                flush();
                pixel = here;
            }
            const stop = Math.min(end, here + 1);
            shares[runs.state[i]] += stop - at;
            at = stop === at ? here + 1 : stop;
        }
    }
    flush();
    const span = app.dragged || app.state.span;
    if (span) {
        context.fillStyle = app.dark ? "rgb(0 0 0 / 65%)"
            : "rgb(255 255 255 / 75%)";
        context.fillRect(0, 0, span[0] * scale, canvas.height);
        context.fillRect(span[1] * scale, 0, canvas.width, canvas.height);
    }
}

function drawStrips(app) {
    for (const strip of app.strips) {
        drawStrip(app, strip);
        strip.button.setAttribute("aria-pressed",
                                  String(strip.t === app.state.thread));
    }
}

function makeStrips(app) {
    app.strips = app.model.threads.map((thread, t) => t)
        .filter((t) => app.model.log[t] && app.model.log[t].start.length > 0)
        .sort((a, b) => app.model.threads[b].samples
            - app.model.threads[a].samples)
        .slice(0, 64).map((t) => stripRow(app, t));
    byId("strips").replaceChildren(...app.strips.map((strip) => strip.row));
    byId("strips").hidden = app.strips.length === 0;
}
