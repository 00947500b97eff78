"""Several photos: background enhancement, settings for each, undo and redo, and restoring them after a reload."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.end_to_end.page.conftest import wait_ready
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded

DARK = dark_scene("coffee", (120, 180))
PNG = encoded(DARK)
JPEG = encoded(dark_scene("chelsea", (120, 180)), "jpeg", quality=90)


def thumbnail(page: Page, index: int) -> np.ndarray:
    """The pixels of a thumbnail, uint8 [160, 160, 3]."""
    canvas = page.locator("#film canvas").nth(index)
    data = canvas.evaluate("(canvas) => canvas.toDataURL().split(',')[1]")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_photos_are_enhanced_in_the_background_and_shown_as_they_become(visitor: Visitor, page: Page) -> None:
    held: list[Route] = []
    is_open = False
    page.route("**/enhance?*", lambda route: route.continue_() if is_open else held.append(route))
    files = [{"name": f"{index}.png", "mimeType": "", "buffer": PNG} for index in range(4)]
    page.locator("#file").set_input_files([*files, {"name": "broken.png", "mimeType": "", "buffer": PNG[:300]}])
    expect(page.locator("#film [data-state=working]")).to_have_count(2)
    expect(page.get_by_role("button", name="0.png", exact=True)).to_have_accessible_description("enhancing")
    expect(page.locator("#queue")).to_have_text("0 of 5")
    expect(page.locator("#queue")).to_have_attribute("aria-live", "off")
    dark = thumbnail(page, 3).mean()
    page.get_by_role("button", name="3.png", exact=True).click()  # the chosen photo does not wait for the others
    expect(page.locator("#film li:nth-child(4)")).to_have_attribute("data-state", "working")
    is_open = True
    for route in held:
        route.continue_()
    visitor.wait_all()
    expect(page.locator("#film [data-state=done]")).to_have_count(4)
    expect(page.locator("#film [data-state=failed]")).to_have_count(1)
    expect(page.locator("#problem")).to_be_hidden()  # the photo that failed is not the chosen one
    expect(page.locator("#queue")).to_have_text("1 failed")
    expect(page.locator("#queue")).to_have_attribute("aria-live", "polite")
    assert thumbnail(page, 1).mean() > 1.3 * dark
    page.get_by_role("button", name="broken.png", exact=True).click()
    expect(page.locator("#problem")).to_contain_text("This photo cannot be read")
    assert len(visitor.requests) == 5  # the broken file is sent, too, because the browser cannot tell what is wrong


def test_settings_belong_to_each_photo_and_can_be_undone(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG), ("two.png", PNG), ("three.png", PNG))
    visitor.wait_all()
    strength = page.locator("[name=strength]")
    undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    visitor.set(strength=30)
    page.get_by_role("button", name="two.png", exact=True).click()
    expect(strength).to_have_value("100")
    page.get_by_role("button", name="one.png", exact=True).click()
    expect(strength).to_have_value("30")
    page.get_by_role("button", name="Apply to all").click()
    page.get_by_role("button", name="three.png", exact=True).click()
    expect(strength).to_have_value("30")
    undo.click()  # of "Apply to all", for all photos
    expect(strength).to_have_value("100")
    redo.click()
    expect(strength).to_have_value("30")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")  # of a change of another photo, which is shown
    expect(page.get_by_role("button", name="one.png", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(strength).to_have_value("100")
    expect(undo).to_be_disabled()
    redo.focus()
    page.keyboard.press("Control+Shift+z")
    expect(strength).to_have_value("30")
    page.keyboard.press("Enter")
    expect(redo).to_be_disabled()
    expect(undo).to_be_focused()
    undo.click()
    page.get_by_role("button", name="one.png", exact=True).click()
    page.get_by_role("button", name="Remove one.png").click()
    expect(page.locator("#film li")).to_have_count(2)
    undo.click()
    expect(page.locator("#film li")).to_have_count(3)
    assert page.locator("#film li button").first.get_attribute("aria-label") == "one.png"
    expect(strength).to_have_value("30")
    page.get_by_role("button", name="Reset").click()
    expect(strength).to_have_value("100")
    assert len(visitor.requests) == 3


def test_a_reload_keeps_the_session_until_it_is_cleared(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG), ("two.jpg", JPEG))
    visitor.wait_all()
    visitor.set(strength=40)
    visitor.divide(0)
    shown = visitor.seen(120, 180)
    page.wait_for_timeout(200)
    page.reload()
    wait_ready(page)
    expect(page.locator("#film li")).to_have_count(2)
    visitor.wait()
    expect(page.locator("[name=strength]")).to_have_value("40")
    visitor.divide(0)
    assert difference(visitor.seen(120, 180), shown) == 0
    assert len(visitor.requests) == 2, "nothing is asked for again"
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.get_by_role("button", name="Keep them")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#film li")).to_have_count(2)
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("#welcome")).to_be_visible()
    page.reload()
    wait_ready(page)
    expect(page.locator("#welcome")).to_be_visible()
    count = """async () => {
      const open = indexedDB.open("nightlift");
      await new Promise((resolve) => (open.onsuccess = resolve));
      const request = open.result.transaction("files").objectStore("files").count();
      await new Promise((resolve) => (request.onsuccess = resolve));
      return request.result;
    }"""
    assert page.evaluate(count) == 0


def test_photos_that_are_added_before_the_models_are_known_are_stored(visitor: Visitor, page: Page) -> None:
    page.route("**/models", lambda route: None)  # never answered
    page.goto(visitor.url)
    visitor.add(("one.png", PNG))
    page.wait_for_timeout(200)
    page.unroute("**/models")
    page.reload()
    wait_ready(page)
    expect(page.locator("#film li")).to_have_count(1)


def test_what_one_tab_removes_is_gone_in_the_other(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG), ("two.png", PNG))
    visitor.wait_all()
    page.wait_for_timeout(200)
    other = page.context.new_page()
    other.goto(visitor.url)
    wait_ready(other)
    other.get_by_role("button", name="Remove one.png").click()
    expect(page.locator("#film li")).to_have_count(1)
    other.get_by_role("button", name="Clear", exact=True).click()
    other.get_by_role("button", name="Remove all").click()
    expect(page.locator("#welcome")).to_be_visible()
    other.close()


def test_a_change_by_keys_is_one_request_and_one_step_of_undo(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    gamma = page.locator("[name=gamma]")
    gamma.evaluate("""(slider) => {
      for (const value of [1.05, 1.1, 1.15, 1.2]) {
        slider.value = value;
        slider.dispatchEvent(new Event("change"));
      }
    }""")
    visitor.wait()
    assert len(visitor.requests) == 2
    assert "gamma=1.2" in visitor.requests[1].url
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(gamma).to_have_value("1")
    page.get_by_role("button", name="Redo", exact=True).click()
    expect(gamma).to_have_value("1.2")


def test_the_filmstrip_is_used_by_keys(visitor: Visitor, page: Page) -> None:
    page.locator("#file").focus()
    visitor.add(("one.png", PNG), ("two.png", PNG), ("three.png", PNG))
    one, two, three = (page.get_by_role("button", name=f"{name}.png", exact=True) for name in ("one", "two", "three"))
    expect(one).to_be_focused()
    page.keyboard.press("End")
    expect(three).to_be_focused()
    expect(three).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowLeft")
    expect(two).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Delete")
    expect(page.locator("#film li")).to_have_count(2)
    expect(three).to_be_focused()
    for name in ("Remove three.png", "Add"):
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_accessible_name(name)


def test_a_full_storage_is_told_until_the_message_is_dismissed(visitor: Visitor, page: Page) -> None:
    page.evaluate("""() => {
      IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); };
    }""")
    visitor.add(("one.png", PNG))
    expect(page.locator("#message")).to_contain_text("Enhanced")
    expect(page.get_by_text("Photos will not survive a reload")).to_be_visible()


def test_an_answer_to_earlier_settings_is_not_restored_as_that_to_the_last_ones(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    page.route("**/enhance?*", lambda route: None)  # never answered
    visitor.set(gamma=0.5)
    page.wait_for_timeout(300)
    page.unroute("**/enhance?*")
    page.reload()
    wait_ready(page)
    expect(page.locator("#film li")).to_have_count(1)
    visitor.wait_all()
    visitor.divide(0)
    assert difference(visitor.seen(120, 180), visitor.service(PNG, gamma=0.5)) <= 2


def test_a_folder_without_photos_is_told_as_such(visitor: Visitor, page: Page, tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "notes.txt").write_text("no photo")
    client = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(tmp_path / "papers")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        client.send("Input.dispatchDragEvent", {"type": kind, "x": 100, "y": 100, "data": data})
    expect(page.locator("#problem")).to_contain_text("There are no photos in this folder")


def test_folders_are_dropped_and_chosen(visitor: Visitor, page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "day 2").mkdir(parents=True)
    (folder / ".thumbnails").mkdir()
    for name in ("10.png", "2.png", "day 2/3.jpg", ".hidden.png", ".thumbnails/4.png"):
        (folder / name).write_bytes(JPEG if name.endswith("jpg") else PNG)
    (folder / "broken.png").symlink_to("nothing.png")
    (folder / "notes.txt").write_text("no photo")
    client = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        client.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})
    expect(page.locator("#film li")).to_have_count(3)
    names = [button.get_attribute("aria-label") for button in page.locator("#film button:not(.remove)").all()]
    assert names == ["2.png", "10.png", "3.jpg"]
    visitor.wait_all()
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("#film li")).to_have_count(0)
    (folder / "broken.png").unlink()
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#film li")).to_have_count(3)


def test_a_photo_is_copied_and_shared(visitor: Visitor, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=visitor.url)
    page.add_init_script("""
      window.shared = [];
      navigator.canShare = ({ files }) => files.length === 1;
      navigator.share = async ({ files }) => {
        if (shared.push(files[0].name) === 1) throw new DOMException("too late", "NotAllowedError");
      };
    """)
    page.reload()
    wait_ready(page)
    visitor.add(("one.png", PNG))
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#message")).to_have_text("Copied.")
    read = """async () => {
      const [item] = await navigator.clipboard.read();
      const bytes = new Uint8Array(await (await item.getType("image/png")).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    }"""
    copied = np.asarray(Image.open(io.BytesIO(base64.b64decode(page.evaluate(read)))).convert("RGB"))
    assert difference(copied, visitor.service(PNG)) == 0
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#message")).to_contain_text("Tap Share again")
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#message")).to_have_text("Shared.")
    assert page.evaluate("shared") == ["one-bright.png"] * 2
    assert len(visitor.requests) == 2  # the preview and the file
    visitor.add(("deep.tiff", encoded(DARK, "tiff")), more=True)
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#message")).to_have_text("Copied.")
