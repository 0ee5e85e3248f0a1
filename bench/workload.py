"""Two programs as people have them, out of the standard library's parts.

`service` does what services do all day: it parses requests, reads and writes
records, fills in templates, logs. It has hundreds of different stacks.
`compiler` works on syntax trees: it parses sources, walks them recursively,
prints them again. It has tens of thousands, up to a hundred frames deep.
Imported by target.py.
"""
import argparse
import ast
import collections
import configparser
import csv
import datetime
import difflib
import email.message
import email.parser
import html
import html.parser
import io
import json
import json.decoder
import json.encoder
import logging
import os
import pprint
import re
import statistics
import string
import textwrap
import tokenize
import urllib.parse

ast_unparse = getattr(ast, "unparse", ast.dump)  # 3.9 has it


def sources():
    """Texts of some modules, the same each time."""
    where = os.path.dirname(os.path.abspath(os.__file__))
    for name in sorted(os.listdir(where)):
        path = os.path.join(where, name)
        if name.endswith(".py") and os.path.getsize(path) < 60000:
            try:
                with open(path, encoding="utf-8") as file:
                    yield file.read()
            except (OSError, UnicodeDecodeError):
                continue


def as_data(node):
    """A syntax tree as lists and dictionaries."""
    if isinstance(node, ast.AST):
        return {"kind": type(node).__name__,
                "fields": {name: as_data(value)
                           for name, value in ast.iter_fields(node)}}
    if isinstance(node, list):
        return [as_data(item) for item in node]
    return repr(node)


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.count = 0

    def handle_starttag(self, tag, attributes):
        self.count += len(attributes)

    def handle_data(self, data):
        self.count += len(data)


def code_json(data):
    """Through the pure Python parts, which have more frames."""
    encoder = json.encoder.JSONEncoder(indent=1)
    text = "".join(encoder.iterencode(data))
    decoder = json.decoder.JSONDecoder()
    decoder.parse_object = json.decoder.JSONObject
    decoder.parse_array = json.decoder.JSONArray
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = json.scanner.py_make_scanner(decoder)
    return decoder.decode(text)


def tokens(text):
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            yield token
    except (tokenize.TokenError, SyntaxError):
        pass  # the text was cut in the middle of something


def one(text):
    tree = ast.parse(text)
    if not tree.body:
        return
    ast_unparse(tree)
    data = as_data(tree.body[len(tree.body) // 2])
    code_json(data)
    pprint.pformat(data)
    list(tokens(text[:8000]))
    lines = text.splitlines()[:150]
    list(difflib.unified_diff(lines, lines[10:] + lines[:10]))
    page = Page()
    page.feed("".join("<p class='a' id=%d>%s</p>" % (number, html.escape(line))
                      for number, line in enumerate(lines)))
    textwrap.fill(" ".join(lines[:60]))


def run_compiler(counter):
    texts = list(sources())
    while True:
        for text in texts:
            try:
                one(text)
            except (SyntaxError, RecursionError):
                continue
            counter[0] += 1


class Service:
    PAGE = string.Template("<h1>$title</h1><p>$body</p>")

    def __init__(self):
        self.log = logging.getLogger("service")
        self.log.setLevel(logging.INFO)
        handler = logging.StreamHandler(io.StringIO())
        handler.setFormatter(logging.Formatter(
            "%(asctime)s %(levelname)s %(funcName)s %(message)s"))
        self.log.addHandler(handler)
        self.stream = handler.stream
        self.seen = collections.Counter()
        self.times = collections.deque(maxlen=200)

    def settings(self):
        parser = configparser.ConfigParser()
        parser.read_string("[a]\nx = 1\ny = %(x)s2\n[b]\nz = yes\n")
        return parser.getint("a", "y"), parser.getboolean("b", "z")

    def options(self, words):
        parser = argparse.ArgumentParser()
        parser.add_argument("--level", type=int, default=1)
        parser.add_argument("--name", default="n")
        parser.add_argument("rest", nargs="*")
        return parser.parse_args(words)

    def query(self, n):
        url = "http://localhost:80/p/%d?" % n + urllib.parse.urlencode(
            {"q": "words and more %d" % n, "page": n % 7})
        parts = urllib.parse.urlsplit(url)
        return parts.path, urllib.parse.parse_qs(parts.query)

    def records(self, n):
        out = io.StringIO()
        writer = csv.DictWriter(out, ["id", "name", "when"])
        writer.writeheader()
        day = datetime.date(2024, 1, 1)
        for i in range(20):
            writer.writerow({"id": i, "name": "name %d" % (n + i),
                             "when": day + datetime.timedelta(days=i)})
        out.seek(0)
        return list(csv.DictReader(out))

    def mail(self, n):
        message = email.message.EmailMessage()
        message["Subject"] = "Number %d" % n
        message["To"] = "someone@localhost"
        message.set_content("Some words\n" * 5)
        parser = email.parser.Parser()
        return parser.parsestr(message.as_string())["subject"]

    def page(self, path, rows):
        body = html.escape(json.dumps(rows, indent=1))
        text = self.PAGE.substitute(title=path, body=body)
        return re.sub(r"(\w+)@(\w+)", lambda m: m.group(2), text)

    def summary(self):
        values = [len(name) + count for name, count in self.seen.items()]
        return statistics.mean(values), statistics.pstdev(values)

    def request(self, n):
        path, query = self.query(n)
        rows = sorted(self.records(n), key=lambda row: row["when"])
        page = self.page(path, rows)
        reader = Page()
        reader.feed(page)
        self.seen[query["q"][0][:12]] += reader.count
        self.log.info("request %s took %d", path, len(page))
        if n % 5 == 0:
            self.settings()
            self.options(["--level", "3", "a", "b"])
            self.mail(n)
        if n % 50 == 0:
            self.summary()
            self.stream.seek(0)
            self.stream.truncate()
            textwrap.fill(page, 70)


def run_service(counter):
    service = Service()
    while True:
        for n in range(1000):
            service.request(n)
            counter[0] += 1
