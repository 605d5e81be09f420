"""Each row: what stands in a note, and what is left of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.data.text.cleaning import clean, inline

LINES = {
    "wiki link": ("See [[My Page]] now", "See My Page now"),
    "alias": ("See [[Page|the page]].", "See the page."),
    "alias in a table": (r"| [[Page\|the page]] |", "| the page |"),
    "nested": ("[[a [[b]] c]] and [[x|[[y]]]]", "a b c and y"),
    "heading of a page": (
        "[[Page#Part]], [[#Part]], [[Page#^4f2a]], [[C#]]",
        "Page, Part, Page, C#",
    ),
    "path": ("[[Logseq/Features]]", "Logseq/Features"),
    "link": ("a [text](https://a.b/c_(d)) b", "a text b"),
    "link with code": ("[`run()`](https://a.b)", "`run()`"),
    "link around a wiki link": ("[see [[Page]]](x)", "see Page"),
    "link to a page": ("[label]([[Page]])", "label"),
    "numbered reference": ("so [[1]](https://a.b)", "so [1]"),
    "bare address": ("<https://a.b/c>", "https://a.b/c"),
    "block reference": ("as ((63bc6201-53b1-47a4-834f-83934b69ad49)) says", "as says"),
    "Roam's block reference": ("as ((x8Jn3-_kQ)).", "as."),
    "labelled block reference": ("[here](((63bc6201-53b1-47a4-834f-83934b69ad49)))", "here"),
    "words in parentheses": ("so ((indeed this)) and ((important))", None),
    "tag": ("I like #python and #[[slow food]]", "I like python and slow food"),
    "tag in parentheses": ("well (#a-b/c)", "well (a-b/c)"),
    "tags alone": ("#idea #[[to do]], #x", ""),
    "no tags": ("C# is 1st, #1 not, a#b neither, x/#y", None),
    "style class": ("text #.v-border", "text"),
    "image": ("a ![x (1).png](../a_(1).png){:height 1, :width 2} b", "a b"),
    "image with a link": ("[![alt](a.png)](https://a.b) text", "text"),
    "attachment": ("![[drawing.png|100]] text", "text"),
    "html image": ('<img width="1" src="a.png"> text', "text"),
    "embed": ("{{embed ((63bc6201-53b1-47a4-834f-83934b69ad49))}} text", "text"),
    "embedded page": ("{{embed [[Page]]}}", ""),
    "Roam's query": ("{{[[query]]: {and: [[a]] [[b]]}}} x", "x"),
    "cloze": ("The {{cloze answer}} is", "The answer is"),
    "template, not macro": ("{{ user.name }}", None),
    "code stays": ("use `[[x]] {{embed y}} #z` so", None),
    "double code stays": ("use `` a ` [[x]] `` so", None),
    "inline property": ("good [rating:: 5] book", "good book"),
    "highlights": ("a ==b c== d ^^e^^, x == y == z", "a b c d e, x == y == z"),
    "block name": ("A thought. ^a1b2c3", "A thought."),
    "power": ("x ^2", None),
    "comment": ("a <!-- b --> c %%d%% e", "a c e"),
    "schedule": ("Buy milk SCHEDULED: <2024-01-01 Mon>", "Buy milk"),
    "emphasis stays": ("**bold** _it_ ~~no~~ $x_{1}$ [ ] [^1]", None),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line(name: str) -> None:
    text, expected = LINES[name]
    assert inline(text) == (text if expected is None else expected)


PAGES = {
    "plain": ("# A\n\nText.\n\n- one\n  - b\n1. c\n", "# A\n\nText.\n\n- one\n  - b\n1. c\n"),
    "blank": (" \n\n\t\n", ""),
    "line ends and blanks": ("\ufeffa  \r\n\r\n\r\n\r\nb\rc", "a\n\nb\nc\n"),
    "front matter": (
        "---\ntitle: 'My note'\ntags: [a, b]\nalias:\n  - x\nsummary: It is short.\n---\nText.",
        "# My note\n\nIt is short.\n\nText.\n",
    ),
    "front matter, own heading": ("---\ntitle: A\n---\n# B\nText.", "# B\nText.\n"),
    "front matter alone": ("---\ntitle: A\n---\n", ""),
    "rule, not front matter": ("---\nSome text\n---\nmore", "---\nSome text\n---\nmore\n"),
    "front matter never closed": ("---\ntitle: x\n\nText here", "---\ntitle: x\n\nText here\n"),
    "outline": (
        "title:: Home\ntype:: [[Page]]\n\n- ## Intro\n  id:: 63bc\n\t- One [[a]]\n\t  goes on\n"
        "\t\t- Two\n\t-\n- Three\n  collapsed:: true\n\t- DONE Four\n- ![x](y.png)\n- * not",
        "# Home\n\n## Intro\nOne a\ngoes on\nTwo\n\nThree\nFour\n\n* not\n",
    ),
    "outline below headings": ("## A\n\t- b\n\t\t- c\n## D\n\t- e", "## A\nb\nc\n\n## D\ne\n"),
    "Roam": ("- [[Jan 1st]]\n    - {{[[TODO]]}} call\n    - Written by:: J\n", "Jan 1st\ncall\n"),
    "code in an outline": (
        "- Do\n\t- ```py\n\t  if [[x]]:\n\t      #y\n\n\t  ```\n\t- end",
        "Do\n```py\nif [[x]]:\n    #y\n\n```\nend\n",
    ),
    "fenced": (
        "a\n```\n- [[x]] key:: v\n~~~\n```\nb [[c]]\n~~~~ md\n```\n~~~\n~~~~\n#d",
        "a\n```\n- [[x]] key:: v\n~~~\n```\nb c\n~~~~ md\n```\n~~~\n~~~~\n",
    ),
    "fence never closed": ("a\n```\n[[x]]\n", "a\n```\n[[x]]\n"),
    "indented code": ("Text\n\n    [[x]] {{embed y}}\n\nz", "Text\n\n    [[x]] {{embed y}}\n\nz\n"),
    "text below a bullet": ("- a\n\n    [[x]]\n\nText", "- a\n\n    x\n\nText\n"),
    "properties": ("a:: b\nText\nkey name:: c\nstd::vector x", "Text\nstd::vector x\n"),
    "description": ("description:: What it is\n\n- x\n  description:: no", "What it is\n\nx\n"),
    "logbook": (
        "- TODO [#A] a\n  SCHEDULED: <2024-01-01 Mon 10:00>\n  :LOGBOOK:\n  CLOCK: [x]--[y] => 1\n"
        "  :END:\n- LATER b",
        "a\nb\n",
    ),
    "clock": ("a\nCLOCK: [2024-01-01]--[2024-01-02] =>  00:01\nb", "a\nb\n"),
    "drawer never closed": ("a\n:LOGBOOK:\nb", "a\n:LOGBOOK:\nb\n"),
    "query": ("- a\n- #+BEGIN_QUERY\n  {:x [[y]]}\n  #+END_QUERY\n- b", "a\nb\n"),
    "source": ("- #+BEGIN_SRC py\n  x = [[1]]\n  #+END_SRC", "```py\nx = [[1]]\n```\n"),
    "quote": ("- #+BEGIN_QUOTE\n  so [[it]] is\n  #+END_QUOTE", "so it is\n"),
    "callout": ("> [!note]- Look [[here]]\n> text\n>\n> more", "> Look here\n> text\n>\n> more\n"),
    "checkbox": ("Text\n- [ ] a\n- [x] b", "Text\n- a\n- b\n"),
    "comments": ("a\n<!-- b\nc -->\n%%\nd\n%%\ne\n<!-- f -->", "a\ne\n"),
    "comment never closed": ("a\n<!-- b\nc", "a\n<!-- b\nc\n"),
    "what is left of a line goes with it": ("a\n![x](y)\nb\n- ![[z]]\n#tag", "a\nb\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page(name: str) -> None:
    text, expected = PAGES[name]
    assert clean(text) == expected


@given(st.text(alphabet="[]()!#{}|`~-*:<>%^= \n\tab1T\x00\x01", max_size=200))
def test_any_text_is_cleaned_without_a_trace(text: str) -> None:
    cleaned = clean(text)
    assert not set(cleaned) & {"\x00", "\x01"}
    assert cleaned == "" or (cleaned.strip() and cleaned.endswith("\n"))


@pytest.mark.parametrize(
    "unit", ["[[", "((", "{{a", "![", "<!--", "%%", "`", "``a`", "[a](", "#[[", "==a", "^^a", "- "]
)
def test_hostile_repetition_takes_no_time(unit: str) -> None:
    clean(unit * 20_000)  # a pattern that goes back over it all would take minutes
    clean((unit + "\n") * 5_000)
