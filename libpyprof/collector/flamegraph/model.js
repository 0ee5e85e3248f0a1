// The profile as it is in the page: nodes, what they are, and whose samples
// they have. Nodes are numbered from 1, callers first; 0 is above all roots.
"use strict";

const FOLDED = 0; // the item of a block "(N smaller)"

const STATES = ["not known", "has the GIL", "waits for the GIL", "collects garbage",
                "native code", "idle", "without the GIL"];

function readFunctions(names) {
    const functions = [null]; // from 1 on
    const column = readColumn("functions");
    while (!column.isAtEnd) {
        const name = names.names[column.next()];
        const file = names.files[column.next()];
        const line = column.next();
        const kind = column.next();
        functions.push({name, file, line, frameKind: kind,
                        kind: kindOf(kind, file), module: moduleOf(file),
                        label: null, number: functions.length});
    }
    return functions;
}

function readItems(names) {
    const column = readColumn("items");
    const fn = [0];
    const line = [0];
    while (!column.isAtEnd) {
        fn.push(column.next() + 1);
        line.push(column.next());
    }
    const opcodes = new Map();
    const codes = readColumn("opcodes");
    for (let item = 0; !codes.isAtEnd;) {
        item += codes.next();
        const opcode = codes.next();
        const samples = codes.next();
        opcodes.set(item, (opcodes.get(item) || []).concat([[opcode, samples]]));
    }
    return {fn: Uint32Array.from(fn), line: Uint32Array.from(line),
            source: names.source || null, opcodes};
}

function readTree(model, expected) {
    const column = readColumn("tree");
    const parent = new Uint32Array(expected + 1);
    const item = new Uint32Array(expected + 1);
    const folded = new Map();
    let n = 0;
    while (!column.isAtEnd) {
        let above = n;
        for (let up = column.next(); up > 0; up--) {
            above = parent[above];
        }
        n++;
        parent[n] = above;
        item[n] = column.next();
        if (item[n] === FOLDED) {
            folded.set(n, column.next());
        }
    }
    Object.assign(model, {n, parent, item, folded});
}

function readSamples(model) {
    const column = readColumn("samples");
    const lists = [];
    while (!column.isAtEnd) {
        const n = column.next();
        const nodes = new Uint32Array(n);
        const counts = new Float64Array(n);
        for (let i = 0, node = 0; i < n; i++) {
            node += column.next();
            nodes[i] = node;
            counts[i] = column.next();
        }
        lists.push({nodes, counts});
    }
    model.samples = lists.slice(0, model.threads.length);
    model.before = model.meta.baseline ? lists[model.threads.length] : null;
}

/** Reads the order of time, which is only needed once it is looked at. */
function readLog(model) {
    const column = readColumn("log");
    model.log = [];
    model.ticks = 0;
    while (!column.isAtEnd) {
        const n = column.next();
        const runs = {start: new Float64Array(n), end: new Float64Array(n),
                      node: new Uint32Array(n), state: new Uint8Array(n)};
        for (let i = 0, tick = 0, node = 0; i < n; i++) {
            tick += column.next();
            runs.start[i] = tick;
            tick += column.next() + 1;
            runs.end[i] = tick;
            node += column.signed();
            runs.node[i] = node;
            runs.state[i] = column.next();
        }
        if (n > 0) {
            model.ticks = Math.max(model.ticks, runs.end[n - 1]);
        }
        model.log.push(runs);
    }
}

function threadLabel(thread) {
    return thread.name || (thread.id ? "thread " + thread.id : "thread");
}

function readModel() {
    const meta = readJson("meta");
    const names = readJson("names");
    const model = {meta, threads: meta.threads};
    model.functions = readFunctions(names);
    model.items = readItems(names);
    readTree(model, meta.nodes);
    readSamples(model);
    readLog(model);
    model.isDiff = model.before !== null;
    model.total = meta.threads.reduce((sum, t) => sum + t.samples, 0);
    // What a sample stands for: the interval, and its share of missed ticks.
    const planned = meta.interval || meta.duration / Math.max(1, meta.rounds);
    model.sampleSeconds = planned / 1e9
        * (1 + (meta.rounds ? meta.missed / meta.rounds : 0));
    return model;
}

// ---- Weights: how many samples end in each node, for what was chosen.

function addSamples(to, list) {
    for (let i = 0; i < list.nodes.length; i++) {
        to[list.nodes[i]] += list.counts[i];
    }
}

/** Own samples of each node. `thread` is -1 for all; `span` null or [a, b]. */
function weigh(model, thread, span) {
    const self = new Float64Array(model.n + 1);
    for (let t = 0; t < model.threads.length; t++) {
        if (thread >= 0 && t !== thread) {
            continue;
        }
        if (span === null) {
            addSamples(self, model.samples[t]);
        } else {
            addSpan(model, self, model.log[t], span);
        }
    }
    return self;
}

function addSpan(model, self, runs, span) {
    const each = model.meta.tick / model.meta.firstTick;
    for (let i = firstAfter(runs.end, span[0]); i < runs.start.length
            && runs.start[i] < span[1]; i++) {
        self[runs.node[i]] += each * (Math.min(runs.end[i], span[1])
            - Math.max(runs.start[i], span[0]));
    }
}

/** The first index whose value is above a bound; values ascend. */
function firstAfter(values, bound) {
    let low = 0;
    let high = values.length;
    while (low < high) {
        const middle = (low + high) >>> 1;
        if (values[middle] > bound) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/** Samples of a node and all that it calls. [0] is the sum. */
function addUp(model, self) {
    const total = self.slice();
    const parent = model.parent;
    for (let node = model.n; node > 0; node--) {
        total[parent[node]] += total[node];
    }
    return total;
}

/** Own and total samples of each function; each stack counts once. */
function sumFunctions(model, self, total) {
    const n = model.functions.length;
    const sums = {self: new Float64Array(n), total: new Float64Array(n)};
    const within = new Uint32Array(n); // open frames of each function
    const open = [];
    const {parent, item} = model;
    const fn = model.items.fn;
    for (let node = 1; node <= model.n; node++) {
        while (open.length > 0 && open[open.length - 1] !== parent[node]) {
            within[fn[item[open.pop()]]]--;
        }
        const f = fn[item[node]];
        if (within[f]++ === 0) {
            sums.total[f] += total[node];
        }
        sums.self[f] += self[node];
        open.push(node);
    }
    return sums;
}

/** Who calls a function, and what it calls: [[function, samples], ...]. */
function neighbours(model, total, wanted) {
    const callers = new Map();
    const callees = new Map();
    const inside = new Uint8Array(model.n + 1);
    const {parent, item} = model;
    const fn = model.items.fn;
    const add = (map, f, samples) => map.set(f, (map.get(f) || 0) + samples);
    for (let node = 1; node <= model.n; node++) {
        if (total[node] === 0) {
            continue;
        }
        const f = fn[item[node]];
        const above = parent[node];
        const fromIt = above !== 0 && fn[item[above]] === wanted;
        inside[node] = inside[above] | (f === wanted ? 1 : 0);
        if (f === wanted && !inside[above] && above !== 0) {
            add(callers, fn[item[above]], total[node]);
        }
        if (fromIt && f !== wanted) {
            add(callees, f, total[node]);
        }
    }
    const sorted = (map) => [...map].sort((a, b) => b[1] - a[1]);
    return {callers: sorted(callers), callees: sorted(callees)};
}

/** Own and total samples of the lines of a function, hottest first. */
function linesOf(model, self, total, wanted) {
    const lines = new Map();
    for (let node = 1; node <= model.n; node++) {
        const item = model.item[node];
        if (total[node] === 0 || item === FOLDED
                || model.items.fn[item] !== wanted) {
            continue;
        }
        const at = lines.get(item) || {item, self: 0, total: 0};
        at.self += self[node];
        at.total += total[node];
        lines.set(item, at);
    }
    return [...lines.values()].sort((a, b) => b.total - a.total);
}

function functionPlace(f) {
    if (f.file === "~" || f.file === "") {
        return "";
    }
    return f.line > 0 ? f.file + ":" + f.line : f.file;
}
