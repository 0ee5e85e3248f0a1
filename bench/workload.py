"""A program as people have it, with tens of thousands of different stacks.

It works on the standard library's own sources: parses and prints them again,
takes them apart into tokens, compares, formats, and codes JSON in pure Python.
Imported by target.py.
"""
import ast
import difflib
import html.parser
import io
import json
import json.decoder
import json.encoder
import os
import pprint
import textwrap
import tokenize

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
    page.feed("".join("<p class='a' id=%d>%s</p>" % pair
                      for pair in enumerate(lines)))
    textwrap.fill(" ".join(lines[:60]))


def run(counter):
    texts = list(sources())
    while True:
        for text in texts:
            try:
                one(text)
            except (SyntaxError, RecursionError):
                continue
            counter[0] += 1
