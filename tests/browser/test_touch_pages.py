"""What readers can touch: with mouse, keyboard and screen reader, in print and without scripts."""

import re

import pytest

pytestmark = pytest.mark.browser
TAGS = {"galaxy-compare": "compare", "galaxy-draws": "draws", "galaxy-redshift": "redshift"}
HEAVIEST = 3_000_000  # bytes of a page with all its pictures


@pytest.fixture(scope="module")
def page(html):
    return html / "notebooks" / "26_touch.html"


@pytest.fixture
def tab(browser, visit, page):
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    tab, complaints, _ = visit(context, page)
    tab.wait_for_function("document.querySelectorAll('.touch-said:not(:empty)').length === 3")
    yield tab
    context.close()
    assert complaints == []


def said(tab, tag: str) -> str:
    return tab.locator(f"{tag} [role=status]").inner_text()


def painted(tab, selector: str) -> str:
    return tab.locator(selector).first.evaluate("canvas => canvas.toDataURL()")


def test_the_divider_follows_keyboard_and_mouse(tab):
    stage = tab.locator("galaxy-compare [role=slider]")
    stage.focus()
    tab.keyboard.press("ArrowRight")
    assert stage.get_attribute("aria-valuenow") == "55"
    tab.keyboard.press("Home")
    assert stage.get_attribute("aria-valuetext").startswith("all ")
    tab.keyboard.press("Space")
    assert stage.get_attribute("aria-valuenow") == "100"
    box = stage.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    tab.mouse.up()
    assert stage.get_attribute("aria-valuenow") in {"24", "25", "26"}


def test_another_galaxy_and_another_model_change_pictures_and_words(tab):
    before = said(tab, "galaxy-compare"), painted(tab, "galaxy-compare .touch-above")
    tab.locator("galaxy-compare input[type=radio]").first.focus()
    tab.keyboard.press("ArrowRight")
    after = said(tab, "galaxy-compare"), painted(tab, "galaxy-compare .touch-above")
    assert after[0].startswith("Galaxy 2")
    assert after[1] != before[1]
    tab.get_by_label("Right picture").select_option(label="Swin")
    assert "Right: Swin." in said(tab, "galaxy-compare")
    assert tab.locator("galaxy-compare .touch-numbers").inner_text().startswith("Swin: residual")


def test_every_model_can_be_compared(tab):
    options = tab.get_by_label("Left picture").locator("option").all_inner_texts()
    for name in (
        "Source",
        "Truth",
        "Repeat observation",
        "Residual CNN",
        "Swin",
        "SRGAN",
        "Capsule",
    ):
        assert name in options
    assert {"Diffusion", "Diffusion: residual"} <= set(options)


def test_draws_are_stepped_through(tab):
    tab.locator("galaxy-draws input[type=range]").focus()
    before = painted(tab, "galaxy-draws .touch-strip canvas")
    tab.keyboard.press("ArrowRight")
    assert "Sample 2 of" in said(tab, "galaxy-draws")
    assert painted(tab, "galaxy-draws .touch-strip canvas") != before


def test_redshift_moves_with_the_arrow_keys(tab):
    slider = tab.locator("galaxy-redshift input[type=range]")
    slider.focus()
    tab.keyboard.press("End")
    assert "Redshift 0.40" in said(tab, "galaxy-redshift")
    assert slider.get_attribute("aria-valuetext").startswith("Redshift 0.40, magnitudes u ")
    tab.get_by_label("CFHTLS").check()
    assert "by CFHTLS" in said(tab, "galaxy-redshift")


def test_who_asked_for_calm_gets_one_step_for_one_press(browser, visit, page):
    context = browser.new_context(reduced_motion="reduce")
    tab, _, _ = visit(context, page)
    stage = tab.locator("galaxy-compare [role=slider]")
    button = tab.get_by_role("button", name="Blink")
    button.click()
    first = stage.get_attribute("aria-valuenow")
    button.click()
    assert {first, stage.get_attribute("aria-valuenow")} == {"0", "100"}
    assert button.get_attribute("aria-pressed") == "false"
    context.close()


def test_blinking_starts_and_stops(tab):
    stage, button = (
        tab.locator("galaxy-compare [role=slider]"),
        tab.get_by_role("button", name="Blink"),
    )
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    first = stage.get_attribute("aria-valuenow")
    tab.wait_for_function(
        "first => document.querySelector('galaxy-compare [role=slider]').ariaValueNow !== first",
        arg=first,
    )
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_in_print_and_without_scripts_a_figure_stands_in(browser, visit, page):
    context = browser.new_context()
    tab, _, _ = visit(context, page)
    assert not tab.locator("#fig-touch-compare img").is_visible()
    tab.emulate_media(media="print")
    still = browser.new_context(java_script_enabled=False)
    plain, _, _ = visit(still, page)
    for name, one in ((n, t) for n in TAGS.values() for t in (tab, plain)):
        assert one.locator(f"#fig-touch-{name} img").is_visible()
    assert not any(one.locator(tag).is_visible() for tag in TAGS for one in (tab, plain))
    context.close()
    still.close()


def test_the_page_is_light(page):
    text = page.read_text()
    pictures = {page.parent / name for name in re.findall(r'src="(\.\./_images/[^"]+)"', text)}
    assert len(text.encode()) + sum(file.stat().st_size for file in pictures) < HEAVIEST
