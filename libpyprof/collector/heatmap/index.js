// The index of a heatmap: files by where they come from, with their shares.
"use strict";

function bar(part, whole, most) {
    const outer = make("span", {class: "bar"});
    const inner = make("i", {});
    outer.style.width = (100 * whole / Math.max(1, most)).toFixed(1) + "%";
    inner.style.width = (100 * part / Math.max(1, whole)).toFixed(1) + "%";
    outer.append(inner);
    return outer;
}

function pageName(number) {
    return "file_" + String(number).padStart(4, "0") + ".html";
}

function fileRow(data, file, most) {
    const link = make("a", {href: pageName(file.page), title: file.path},
                      file.module || file.path);
    return make("tr", {},
                make("td", {}, link, make("small", {}, file.path)),
                make("td", {title: count(file.self) + " samples"},
                     percent(file.self, data.stacks)),
                make("td", {title: count(file.total) + " samples"},
                     percent(file.total, data.stacks)),
                make("td", {}, bar(file.self, file.total, most)),
                make("td", {}, count(file.lines)));
}

function group(data, kind, files, isOpen) {
    const most = data.files.reduce((m, file) => Math.max(m, file.total), 0);
    const self = files.reduce((sum, file) => sum + file.self, 0);
    const details = make("details", isOpen ? {open: ""} : {});
    const head = make("tr", {});
    for (const title of ["File", "Self", "Total", "Self of total", "Lines"]) {
        head.append(make("th", {scope: "col"}, title));
    }
    details.append(
        make("summary", {}, KINDS[kind], make("span", {}, count(files.length)
            + (files.length === 1 ? " file, " : " files, ")
            + percent(self, data.stacks) + " self")),
        make("table", {}, make("thead", {}, head),
             make("tbody", {}, ...files.map((file) =>
                 fileRow(data, file, most)))));
    return details;
}

function showFiles(data, wasOpen) {
    const text = byId("search").value.trim().toLowerCase();
    const by = byId("sort").value;
    const shown = data.files.filter((file) =>
        file.path.toLowerCase().includes(text)
        || file.module.toLowerCase().includes(text));
    shown.sort(by === "path" ? (a, b) => (a.path < b.path ? -1 : 1)
        : (a, b) => b[by] - a[by] || a.page - b.page);
    const parts = [];
    for (const kind of KINDS.keys()) {
        const files = shown.filter((file) => file.kind === kind);
        if (files.length > 0) {
            const isOpen = text !== "" || (wasOpen ? wasOpen(kind)
                : kind === 0 || parts.length === 0);
            const part = group(data, kind, files, isOpen);
            part.dataset.kind = kind;
            parts.push(part);
        }
    }
    byId("groups").replaceChildren(...parts);
    byId("found").textContent = text === "" ? ""
        : count(shown.length) + " of " + count(data.files.length);
}

function fact(name, value) {
    byId("facts").append(make("dt", {}, name), make("dd", {}, value));
}

function fillFacts(data) {
    const bad = data.torn + data.unreadable;
    fact("Stacks", count(data.stacks));
    fact("Thread time", seconds(data.stacks * data.sampleNs / 1e9));
    fact("Duration", seconds(data.duration / 1e9));
    fact("Rounds", count(data.rounds) + ", "
        + digits(data.rounds / Math.max(1e-9, data.duration / 1e9))
        + " a second");
    fact("Not whole", count(bad) + " (" + percent(bad, data.attempted) + ")");
    fact("Missed", count(data.missed) + " ("
        + percent(data.missed, data.rounds + data.missed) + ")");
    fact("Files", count(data.files.length));
}

function startIndex() {
    const data = readJson("heatmap");
    for (const file of data.files) {
        file.kind = kindOf(0, file.path);
        file.module = moduleOf(file.path);
    }
    const top = data.files.reduce((most, file) =>
        (most === null || file.self > most.self ? file : most), null);
    byId("verdict").append(top === null ? "No samples in any source file."
        : percent(top.self, data.stacks) + " of the time ends in ",
    ...(top === null ? [] : [make("a", {href: pageName(top.page)},
                                  tail(top.path)), "."]));
    fillFacts(data);
    showFiles(data, null);
    const again = () => showFiles(data, (kind) => {
        const part = document.querySelector('[data-kind="' + kind + '"]');
        return part !== null && part.open;
    });
    byId("search").addEventListener("input", again);
    byId("sort").addEventListener("change", again);
    for (const [id, isOpen] of [["open-all", true], ["close-all", false]]) {
        byId(id).addEventListener("click", () => {
            for (const part of document.querySelectorAll("#groups details")) {
                part.open = isOpen;
            }
        });
    }
    setUpTheme(byId("theme"), () => {});
    document.addEventListener("keydown", (event) => {
        if (event.target.tagName === "INPUT" || event.ctrlKey || event.altKey
                || event.metaKey) {
            return;
        }
        if (event.key === "t") {
            byId("theme").click();
        } else if (event.key === "/") {
            byId("search").focus();
            event.preventDefault();
        }
    });
}

startIndex();
