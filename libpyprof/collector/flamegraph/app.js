// Puts it together: the state, what follows from it, and drawing it.
"use strict";

class App {
    constructor(model) {
        this.model = model;
        this.state = readState(location.hash, model);
        this.sort = "self";
        this.selected = 0;
        this.hovered = 0;
        this.dragged = null;
        this.canvas = byId("graph");
        this.context = this.canvas.getContext("2d", {alpha: false});
        this.painter = new CanvasPainter(this.context);
        this.isDrawing = false;
        this.made = {}; // what weights and view were made for
    }

    get chosen() {
        return this.state.chosen;
    }

    get dark() {
        return this.isPrinting ? false : isDark();
    }

    // ---- What follows from the state.

    /** Weights: samples of what was chosen. */
    weigh() {
        const {state, model} = this;
        const key = JSON.stringify([state.thread, state.span, state.widths]);
        if (this.made.weights === key) {
            return;
        }
        this.made = {weights: key};
        this.before = null;
        this.self = weigh(model, state.thread, state.span);
        this.total = addUp(model, this.self);
        if (model.isDiff) {
            this.weighBefore();
        }
        this.sums = sumFunctions(model, this.self, this.total);
    }

    weighBefore() {
        const {model} = this;
        const before = new Float64Array(model.n + 1);
        addSamples(before, model.before);
        this.before = before;
        this.beforeTotal = addUp(model, before);
        const base = model.meta.baseline;
        this.beforeSeconds = (base.interval || model.meta.interval) / 1e9
            * (1 + (base.rounds ? base.missed / base.rounds : 0));
        this.beforeSums = sumFunctions(model, before, this.beforeTotal);
    }

    get scaleBefore() {
        if (this.state.scale === "time") {
            return this.beforeSeconds / this.model.sampleSeconds;
        }
        return this.beforeTotal[0] ? this.total[0] / this.beforeTotal[0] : 1;
    }

    /** The thread that time order shows. */
    get timeThread() {
        const {state, model} = this;
        if (state.thread >= 0) {
            return state.thread;
        }
        return model.threads.reduce((most, t, i) =>
            (t.samples > model.threads[most].samples ? i : most), 0);
    }

    makeView() {
        const {state, model} = this;
        const key = JSON.stringify([this.made.weights, state.view, state.by]);
        if (this.made.view === key) {
            return;
        }
        const isGone = model.isDiff && state.widths === "gone";
        if (state.view === "time" && !isGone && model.log[this.timeThread]) {
            this.view = timeView(model, state.by, this.timeThread, state.span);
        } else {
            const self = isGone ? this.gone() : this.self;
            this.view = state.view === "inverted"
                ? invertedView(model, state.by, self)
                : topView(model, state.by, self, this.before);
        }
        this.view.isGone = isGone;
        this.view.by = state.by;
        this.made.view = key;
        this.selected = 0;
        this.hovered = 0;
    }

    /** The baseline's samples where this profile has none at all. */
    gone() {
        return this.before.map((n, node) => (this.total[node] === 0 ? n : 0));
    }

    search() {
        const {state, model} = this;
        const found = matching(model, state.query);
        this.hits = found ? found.hits : null;
        this.found = found;
        const out = byId("found");
        if (found === null) {
            out.textContent = "";
            return;
        }
        const sum = matchedSamples(model, this.total, found);
        out.textContent = percent(sum, this.total[0]) + " in "
            + count(found.hits.reduce((n, hit) => n + hit, 0)) + " functions";
    }

    /** All of it, after the state has changed. */
    update() {
        const {state} = this;
        const weights = this.made.weights;
        this.weigh();
        this.makeView();
        this.search();
        this.clampPlace();
        if (weights !== this.made.weights || this.shownScale !== state.scale) {
            this.tell();
        }
        fillTable(this);
        fillDetails(this);
        fillFigures(this);
        drawStrips(this);
        this.showControls();
        this.draw();
    }

    tell() {
        this.shownScale = this.state.scale;
        const parts = this.model.isDiff
            ? changeVerdict(this.model, this.sums, this.beforeSums,
                            this.scaleBefore, this.total[0])
            : verdict(this.model, this.sums, this.total,
                      this.model.sampleSeconds);
        byId("verdict").replaceChildren(parts);
    }

    // ---- The place that is looked at.

    get whole() {
        return [this.view.x0[0], Math.max(this.view.x1[0], this.view.x0[0] + 1e-9)];
    }

    get place() {
        const [a, b] = this.state.zoom || this.whole;
        return {a, b, width: this.width, top: this.state.top,
                height: this.height};
    }

    clampPlace() {
        const {state, view} = this;
        const [least, most] = this.whole;
        if (state.zoom) {
            let [a, b] = state.zoom;
            const size = Math.min(b - a, most - least);
            a = Math.min(Math.max(a, least), most - size);
            b = a + size;
            state.zoom = size >= (most - least) * 0.9999 ? null : [a, b];
        }
        const lowest = Math.max(0, view.levels.length * ROW + 4 - this.height);
        state.top = Math.min(Math.max(0, state.top), lowest);
    }

    // ---- Changes.

    /** Changes the state; `isStep`: one that "back" comes back from. */
    change(changes, isStep = true) {
        if (["view", "by", "thread", "span", "widths"].some((key) =>
            key in changes) && !("zoom" in changes)) {
            Object.assign(changes, {zoom: null, top: 0});
        }
        Object.assign(this.state, changes);
        this.update();
        this.keep(isStep);
    }

    keep(isStep) {
        const address = writeState(this.state, this.model);
        const now = location.hash === "" ? "#" : location.hash;
        if (address !== now) {
            if (isStep) {
                history.pushState(null, "", address);
            } else {
                history.replaceState(null, "", address);
            }
        }
    }

    /** A change of the place alone, which has to be quick. */
    move(zoom, top) {
        this.state.zoom = zoom;
        this.state.top = top;
        this.clampPlace();
        this.draw();
        clearTimeout(this.keeping);
        this.keeping = setTimeout(() => this.keep(false), 300);
    }

    /** Glides there, unless motion is not wanted. */
    zoomTo(box) {
        const {view} = this;
        const to = box === 0 ? this.whole : [view.x0[box], view.x1[box]];
        const from = this.state.zoom || this.whole;
        const top = box === 0 ? 0
            : Math.max(0, view.depth[box] * ROW - Math.floor(this.height / 3));
        clearTimeout(this.keeping);
        this.keep(false);
        const finish = () => {
            this.move(box === 0 ? null : to, top);
            clearTimeout(this.keeping);
            this.keep(true);
        };
        if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
            finish();
            return;
        }
        const start = performance.now();
        const firstTop = this.state.top;
        const step = (now) => {
            const part = Math.min(1, Math.max(0, (now - start) / 160));
            const eased = part * (2 - part);
            const mix = (x, y) => x + (y - x) * eased;
            if (part >= 1) {
                finish();
                return;
            }
            this.move([mix(from[0], to[0]), mix(from[1], to[1])],
                      mix(firstTop, top));
            requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
    }

    /** Zooms about a point, by a factor. */
    zoomAbout(x, factor) {
        const {a, b} = this.place;
        const at = a + (b - a) * x / this.width;
        const least = (this.whole[1] - this.whole[0]) * 1e-9;
        if ((b - a) * factor > least) {
            this.move([at - (at - a) * factor, at + (b - at) * factor],
                      this.state.top);
        }
    }

    select(box, isShown) {
        this.selected = box;
        if (box !== 0) {
            byId("status").textContent = statusText(this, box);
            const f = functionOf(this.model, this.view)(box);
            if (f !== null) {
                this.state.chosen = f.number;
                fillDetails(this);
            }
            if (isShown) {
                this.show(box);
            }
        }
        this.draw();
    }

    /** Moves as far as needed to have a box in sight. */
    show(box) {
        const {view} = this;
        let {a, b, top} = this.place;
        const y = view.depth[box] * ROW;
        if (y < top) {
            top = y;
        } else if (y + ROW > top + this.height) {
            top = y + ROW - this.height;
        }
        if (view.x1[box] <= a || view.x0[box] >= b) {
            const size = b - a;
            a = (view.x0[box] + view.x1[box] - size) / 2;
            b = a + size;
        }
        this.move(this.state.zoom ? [a, b] : null, top);
    }

    chooseFunction(number) {
        this.state.chosen = number;
        let best = 0;
        const fnOf = functionOf(this.model, this.view);
        for (let box = 1; box <= this.view.n; box++) {
            const f = fnOf(box);
            if (f !== null && f.number === number && (best === 0
                    || this.view.total[box] > this.view.total[best])) {
                best = box;
            }
        }
        this.selected = best;
        if (best !== 0) {
            this.show(best);
            byId("status").textContent = statusText(this, best);
        }
        fillDetails(this);
        fillTable(this);
        this.keep(false);
        this.draw();
    }

    // ---- Drawing.

    resize() {
        const box = this.canvas.parentElement.getBoundingClientRect();
        this.width = Math.max(50, Math.floor(box.width));
        this.height = Math.max(ROW, Math.floor(box.height));
        this.ratio = devicePixelRatio || 1;
        this.canvas.width = this.width * this.ratio;
        this.canvas.height = this.height * this.ratio;
    }

    /** How things look besides the fills. */
    look() {
        const {state, model, view, dark} = this;
        const fnOf = functionOf(model, view);
        const ofChosen = state.chosen;
        let matches = null;
        if (this.found) {
            const {hits, byItem} = this.found;
            matches = byItem && state.by === "line"
                ? (box) => byItem[view.key[box]] === 1
                : (box) => {
                    const f = fnOf(box);
                    return f !== null && hits[f.number] === 1;
                };
        }
        return {
            fill: colouring(model, view, state.colour, this.before
                ? this.scaleBefore : 1), matches, ofChosen,
            selected: this.selected, hovered: this.hovered,
            narrow: dark ? "#6d6a5c" : "#d9d3c0",
            dim: dark ? "#2b3038" : "#eceef1",
            dimText: dark ? "#a9b2c0" : "#525b69",
            strong: dark ? "#ffffff" : "#0b3d82", weak: dark ? "#c9d3e2" : "#333",
        };
    }

    /** Draws at the next frame, once however often it is asked for. */
    draw() {
        if (!this.isDrawing) {
            this.isDrawing = true;
            requestAnimationFrame(() => {
                this.isDrawing = false;
                this.drawNow();
            });
        }
    }

    drawNow() {
        const place = this.place;
        if (this.view.kind === "inverted") {
            openVisible(this.view, place.a, place.b, place.width);
        }
        this.painter.begin(this.width, this.height, this.ratio,
                           this.dark ? "#15181d" : "#ffffff");
        drawView(this.painter, this.model, this.view, place, this.look());
        byId("empty").hidden = this.view.n > 0;
        byId("reset").disabled = this.state.zoom === null
            && this.state.span === null;
        this.frames = (this.frames || 0) + 1;
    }

    showControls() {
        const {state, model, view} = this;
        for (const group of ["view", "by", "widths"]) {
            for (const button of byId(group).children) {
                button.setAttribute("aria-pressed",
                                    String(button.value === state[group]));
            }
        }
        for (const key of ["colour", "scale"]) {
            byId(key).value = state[key];
        }
        byId("thread").value = String(state.thread);
        if (document.activeElement !== byId("search")) {
            byId("search").value = state.query;
        }
        const notes = [];
        if (view.kind === "time") {
            const name = threadLabel(model.threads[this.timeThread]);
            notes.push("In the order of time: " + name);
            if (view.cutAt !== null) {
                notes.push("only the first part fits: select a span of time");
            }
        }
        if (state.span) {
            const at = (x) => seconds(x * model.meta.tick / 1e9);
            notes.push("from " + at(state.span[0]) + " to " + at(state.span[1]));
        }
        if (model.meta.folded > 0) {
            notes.push(count(model.meta.folded) + " smallest nodes are folded");
        }
        byId("note").textContent = notes.join("; ");
    }
}
