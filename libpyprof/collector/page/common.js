// What all pages share: reading data, writing numbers, the theme.
// Everything that came from the profiled program is put into the page as text
// (textContent, canvas), never as markup.
"use strict";

const byId = (id) => document.getElementById(id);

/** Makes an element: make("td", {class: "n"}, "text", child, ...). */
function make(name, attributes, ...content) {
    const element = document.createElement(name);
    for (const key in attributes) {
        element.setAttribute(key, attributes[key]);
    }
    element.append(...content);
    return element;
}

/** Reads the columns that page.h describes. */
class Column {
    constructor(text) {
        this.text = text;
        this.at = 0;
    }

    get isAtEnd() {
        return this.at >= this.text.length;
    }

    next() {
        let number = 0;
        let scale = 1;
        for (;;) {
            const code = this.text.charCodeAt(this.at++);
            const digit = code === 33 ? 25 : code - 35; // "!" is for "<"
            if (digit < 46) {
                return number + digit * scale;
            }
            if (!(digit < 92)) {
                throw new Error("this page is cut off or damaged");
            }
            number += (digit - 46) * scale + 46 * scale;
            scale *= 46;
        }
    }

    signed() {
        const number = this.next();
        return number % 2 ? -(number + 1) / 2 : number / 2;
    }
}

function readColumn(name) {
    const element = byId("d-" + name);
    return new Column(element ? element.textContent : "");
}

function readJson(name) {
    return JSON.parse(byId("d-" + name).textContent);
}

/** 12,345 */
function count(number) {
    return Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/** As many digits as say something. */
function digits(number) {
    const size = Math.abs(number);
    return number.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function seconds(s) {
    if (s >= 60) {
        const whole = Math.round(s);
        return Math.floor(whole / 60) + " min " + (whole % 60) + " s";
    }
    return s >= 1 ? digits(s) + " s" : s >= 1e-3 ? digits(s * 1e3) + " ms"
        : digits(s * 1e6) + " \u00b5s";
}

function percent(part, whole) {
    return (whole > 0 ? digits(100 * part / whole) : "0.00") + " %";
}

/** Half of the 95 % interval of a share, in percent (Wilson). */
function uncertainty(part, whole) {
    if (!(whole > 0)) {
        return 0;
    }
    const p = Math.min(1, part / whole);
    const zz = 1.96 * 1.96;
    return 100 * 1.96 * Math.sqrt(p * (1 - p) / whole + zz / (4 * whole * whole))
        / (1 + zz / whole);
}

/** Where it could have come from: what a person calls their own, and the rest. */
const KINDS = ["own code", "library", "standard library", "native", "GC",
               "other"];
const FRAME_KINDS = [0, 4, 3, 5, 5, 5, 5]; // PYPROF_FRAME_ beyond Python's

function kindOf(frameKind, file) {
    if (frameKind !== 0) {
        return FRAME_KINDS[frameKind] === undefined ? 5
            : FRAME_KINDS[frameKind];
    }
    if (/[\\/](site|dist)-packages[\\/]/.test(file)) {
        return 1;
    }
    if (/^<frozen /.test(file) || /[\\/]lib(64)?[\\/]python\d/i.test(file)
        || /[\\/]python[\d.]+[\\/]lib[\\/]/i.test(file)) {
        return 2;
    }
    return 0;
}

/** The module that a file is, as far as its path says. */
function moduleOf(file) {
    const frozen = /^<frozen (.*)>$/.exec(file);
    if (frozen) {
        return frozen[1];
    }
    let path = file.replace(/^.*[\\/](site|dist)-packages[\\/]/, "")
        .replace(/^.*[\\/]lib(64)?[\\/]python[\d.]+t?[\\/]/i, "");
    if (path === file) {
        path = path.split(/[\\/]/).slice(-2).join("/");
    }
    return path.replace(/\.pyc?$/, "").replace(/[\\/]__init__$/, "")
        .split(/[\\/]/).filter((part) => !/^\.*$/.test(part)).join(".");
}

function tail(path) {
    return path.replace(/^.*[\\/](?=.)/, "");
}

// ---- The theme: the system's, or what was chosen here before.

function recall(key) {
    try {
        return localStorage.getItem("pyprof-" + key);
    } catch (error) {
        return null; // no storage here: a private window, or a strict policy
    }
}

function remember(key, value) {
    try {
        localStorage.setItem("pyprof-" + key, value);
    } catch (error) {
        // as above: it is only a convenience
    }
}

function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Makes a button change the theme; `changed` draws what styles don't reach. */
function setUpTheme(button, changed) {
    const stored = recall("theme");
    if (stored === "dark" || stored === "light") {
        document.documentElement.dataset.theme = stored;
    }
    const show = () => {
        button.textContent = isDark() ? "Light" : "Dark";
        changed();
    };
    button.addEventListener("click", () => {
        const theme = isDark() ? "light" : "dark";
        document.documentElement.dataset.theme = theme;
        remember("theme", theme);
        show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
}
