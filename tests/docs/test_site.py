"""The site's pages: every link leads to something, and those to folders are left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from docs import make_site
from tests.docs.documents import ROOT


def test_every_link_of_every_page_leads_to_something(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(make_site, "TARGET", tmp_path / "site-source")
    make_site.main()
    assert (tmp_path / "site-source/docs/glossary.md").read_text() == (ROOT / "docs/glossary.md").read_text()
    assert (tmp_path / "site-source/docs/images/architecture.svg").is_file()


def test_a_link_to_nothing_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"docs/api\.md links to missing\.md"):
        list(make_site.linked_files(ROOT / "docs/api.md", "see [this](missing.md)"))


def test_links_to_folders_keep_their_text() -> None:
    text = make_site.without_folder_links(ROOT / "docs/api.md", "[recipes](../training/recipes), [api](api.md#x)")
    assert text == "recipes, [api](api.md#x)"


def test_code_blocks_of_files_get_a_title() -> None:
    assert make_site.in_mkdocs_dialect("```yaml file=my.yaml\na: 1\n```") == '```yaml title="my.yaml"\na: 1\n```'


def test_what_belongs_to_a_list_item_is_indented_by_four_spaces() -> None:
    text = "1. Fit:\n\n   ```\n   if a:\n     b\n   ```\n\n   Then\n2. Apply\n\nEnd\n"
    assert make_site.in_mkdocs_dialect(text) == (
        "1. Fit:\n\n    ```\n    if a:\n      b\n    ```\n\n    Then\n\n2. Apply\n\nEnd\n"
    )
    code = "```\n- no list\n  at all\n```"
    assert make_site.in_mkdocs_dialect(code) == code


def test_every_document_is_in_the_navigation() -> None:
    parts = [
        part for section in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"] for part in section.values()
    ]
    shown = [page for part in parts for page in ([part] if isinstance(part, str) else part)]
    assert sorted(page for page in shown if page.startswith("docs/")) == [
        f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))
    ]
