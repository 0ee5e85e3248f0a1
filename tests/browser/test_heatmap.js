// The heatmap, and names that try to be more than names.
"use strict";

const {accessible, assert, check, fits, fs, path, picture, quiet, run, watched}
    = require("./check.js");

async function index(browser, folder) {
    const page = await watched(browser, path.join(folder, "heat/index.html"));
    await check("the index lists files by where they are from", async () => {
        assert(await page.locator("#groups > details").count() >= 2);
        assert.match(await page.textContent("#verdict"), /% of the time ends in/);
        const shares = await page.evaluate(() =>
            JSON.parse(document.getElementById("d-heatmap").textContent));
        const self = shares.files.reduce((sum, file) => sum + file.self, 0);
        assert(self <= shares.stacks);
        for (const file of shares.files) {
            assert(file.total <= shares.stacks && file.self <= file.total);
        }
        await fits(page);
    });
    await check("the index filters, sorts, opens and closes", async () => {
        await page.fill("#search", "no such file");
        assert.strictEqual(await page.locator("#groups tr").count(), 0);
        await page.fill("#search", "");
        await page.selectOption("#sort", "path");
        await page.click("#close-all");
        assert.strictEqual(await page.locator("#groups tbody tr:visible")
            .count(), 0);
        await page.click("#open-all");
        assert(await page.locator("#groups tbody tr:visible").count() > 2);
        await picture(page, folder, "heatmap-index");
    });
    await check("the index is accessible", async () => {
        await accessible(page);
        await page.click("#theme");
        await accessible(page);
    });
    await check("every file of the index is there", async () => {
        const links = await page.locator("#groups a").evaluateAll((all) =>
            all.map((a) => a.getAttribute("href")));
        const there = fs.readdirSync(path.join(folder, "heat")).sort();
        assert.deepStrictEqual([...links, "index.html"].sort(), there);
    });
    await page.locator("#verdict a").click();
    await file(page, folder);
    quiet(page);
    await page.context().close();
}

async function file(page, folder) {
    await page.waitForSelector("#map");
    await check("a file has its hot lines", async () => {
        assert(await page.locator("tbody tr[class]").count() > 0);
        await page.click("#colour button[value=total]");
        assert(await page.locator("body.by-total").count() === 1);
        await page.click("#colour button[value=self]");
        const all = await page.locator("tbody tr:visible").count();
        await page.click("#cold");
        const hot = await page.locator("tbody tr:visible").count();
        assert(hot > 0 && hot < all);
        await page.click("#cold");
        await page.click("#next");
        assert.strictEqual(await page.locator("tr.here").count(), 1);
    });
    await check("a call leads to what it calls, and back", async () => {
        const details = page.locator("tbody details");
        await details.first().locator("summary").click();
        const link = details.first().locator("a").first();
        const href = await link.getAttribute("href");
        assert.match(href, /^(file_\d{4}\.html)?#line-\d+$/);
        await link.click();
        await page.waitForFunction(() => location.hash.startsWith("#line-"));
        assert.strictEqual(await page.locator("tr:target").count(), 1);
        await page.goBack();
    });
    await check("a file is accessible", async () => {
        await picture(page, folder, "heatmap-file");
        await accessible(page);
        await page.click("#theme");
        await accessible(page);
    });
}

/** The profiled program has names that would like to be markup or paths. */
async function hostile(browser, folder) {
    const pages = [path.join(folder, "real.html"),
                   ...fs.readdirSync(path.join(folder, "heat")).map((name) =>
                       path.join(folder, "heat", name))];
    await check("names never become markup, script or paths", async () => {
        let seen = 0;
        for (const file of pages) {
            const text = fs.readFileSync(file, "utf8");
            seen += text.includes("PWNED") ? 1 : 0;
            const page = await watched(browser, file);
            const found = await page.evaluate(() => ({
                pwned: globalThis.PWNED,
                strange: document.querySelectorAll("img, b.x, iframe, marquee")
                    .length,
                scripts: document.querySelectorAll("script:not([type])").length,
            }));
            assert.deepStrictEqual(found, {pwned: undefined, strange: 0,
                                           scripts: 1}, file);
            quiet(page);
            await page.context().close();
        }
        assert(seen >= 2, "the names are not there at all");
        assert(fs.readdirSync(path.join(folder, "heat")).every((name) =>
            /^(index|file_\d{4})\.html$/.test(name)));
        assert(!fs.existsSync(path.join(folder, "escaped.html")));
    });
}

run(async (browser, folder) => {
    await index(browser, folder);
    await hostile(browser, folder);
});
