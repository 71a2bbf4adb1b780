"""The page in Chromium without a window. `make test-browser` runs these tests, and leaves the screenshots in build/screens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.gpunode.ui.conftest import SECRET, Page
from tests.gpunode.ui.test_app import XID, change_condition
from tests.waiting import until

pytestmark = pytest.mark.browser

SCREENS = Path(__file__).parents[3] / "build" / "screens"
DRIVER = "/usr/bin/chromedriver"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J"
WIDE, NARROW = (1280, 900), (360, 740)


class Browser:
    """One tab. The test fails if the console of the page has errors."""

    def __init__(self, page: Page, size: tuple[int, int], *flags: str) -> None:
        options = Options()
        for flag in (*FLAGS, f"--window-size={size[0]},{size[1]}", *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get(f"{page.url}/?token={SECRET}")
        self.wait_for("table")

    def open(self, path: str, selector: str) -> None:
        self.run(f"location.hash = {path!r}")
        self.wait_for(selector)

    def wait_for(self, selector: str) -> WebElement:
        until(lambda: self.all(selector), self.text)
        return self.all(selector)[0]

    def until_text(self, text: str) -> None:
        until(lambda: text in self.text(), self.text)

    def all(self, selector: str) -> list[WebElement]:
        found: list[WebElement] = self.driver.find_elements("css selector", selector)
        return found

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def press(self, *keys: str) -> WebElement:
        """Returns the focused element."""
        for key in keys:
            webdriver.ActionChains(self.driver).send_keys(key).perform()
        focused: WebElement = self.driver.switch_to.active_element
        return focused

    def save(self, name: str) -> None:
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENS / f"{name}.png"))

    def close(self) -> None:
        errors = [each["message"] for each in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        self.driver.quit()
        assert errors == []


@pytest.fixture
def browser(page: Page) -> Iterator[Browser]:
    opened = Browser(page, WIDE)
    yield opened
    opened.close()


def test_the_fleet_and_a_node(browser: Browser) -> None:
    browser.until_text("SomeGPUsUnhealthy")
    assert "\n58\nfree\n" in browser.text()
    browser.save("fleet")
    browser.all("tbody th a")[2].click()
    browser.until_text("Node gpu-h100-1")
    assert browser.driver.title == "gpu-h100-1 - gpunode"
    assert "research/llama-train-0" in browser.text()
    browser.save("node")


def test_a_change_appears_without_a_reload(page: Page, browser: Browser) -> None:
    browser.run("window.isSame = true")
    browser.open("#/nodes/gpu-h100-1", ".timeline")
    change_condition(page, "gpu-h100-1", {**XID, "message": HOSTILE})
    browser.until_text("<img src=x onerror=alert(1)>")
    assert browser.all("main img") == []
    assert browser.run("return window.isSame") is True


def test_pending_pods(browser: Browser) -> None:
    browser.open("#/pending", "tbody a")
    browser.until_text("research/big-train-0")
    browser.save("pending")
    browser.all("tbody a")[0].click()
    browser.until_text("Did you mean NVIDIA-H100-80GB-HBM3?")
    browser.save("pod")


def test_the_page_works_by_keyboard(browser: Browser) -> None:
    assert browser.press(Keys.TAB).text == "Skip to the content"
    assert browser.press("/").get_attribute("id") == "filter"
    browser.press(*"t4")
    browser.until_text("2 of 8 GPU nodes")
    assert browser.press("").get_attribute("value") == "t4", "the field keeps its focus while the table changes"
    focused = browser.press(Keys.TAB, Keys.TAB)
    assert focused.text == "gpu-t4-1"
    focused.send_keys(Keys.ENTER)
    browser.until_text("Node gpu-t4-1")
    assert browser.press("").get_attribute("id") == "main", "a new page has the focus"


def test_the_filter_shows_only_nodes_with_problems(browser: Browser) -> None:
    browser.wait_for("input[type=checkbox]").click()
    browser.until_text("4 of 8 GPU nodes")


def test_a_screen_reader_finds_names_for_everything(browser: Browser) -> None:
    for path, selector in (("#/", "table"), ("#/nodes/gpu-h100-2", ".timeline"), ("#/pending", "table")):
        browser.open(path, selector)
        assert len(browser.all("h1")) == len(browser.all("main h2")) == 1
        for element in browser.all("main a, main input, main [role=img], nav a"):
            assert element.accessible_name, element.get_attribute("outerHTML")
        for table in browser.all("main table"):
            assert all(
                cell.get_attribute("scope") in ("col", "row") for cell in table.find_elements("css selector", "th")
            )
    assert browser.wait_for("[role=status]").get_attribute("aria-live") == "polite"
    assert browser.wait_for("nav [aria-current=page]").text.startswith("Pending pods")


@pytest.mark.parametrize("path", ["#/", "#/nodes/gpu-a100-1", "#/pending"])
def test_a_phone_shows_the_page_without_horizontal_scrolling(page: Page, path: str) -> None:
    browser = Browser(page, NARROW)
    browser.open(path, "table")
    assert browser.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    browser.save(f"phone-{path.rsplit('/', maxsplit=1)[-1] or 'fleet'}")
    browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(page: Page, scheme: str) -> None:
    """Source: WCAG 2.2, success criterion 1.4.3: 4.5 to 1."""
    browser = Browser(page, WIDE)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    for path, selector in (("#/", "table"), ("#/nodes/gpu-h100-2", ".timeline")):
        browser.open(path, selector)
        assert browser.run(LOW_CONTRAST) == []
    browser.save(f"node-{scheme}")
    browser.close()


def test_the_page_states_that_the_program_has_ended(page: Page, browser: Browser) -> None:
    page.cluster.stop()
    browser.until_text("are not current")
    assert "gpu-h100-1" in browser.text()
    browser.save("api-server-away")


LOW_CONTRAST = """
const luminance = (color) => {
  const [red, green, blue] = color.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$/.test(color)) return color;
  }
  return "rgb(255, 255, 255)";
};
const low = new Set();
for (const node of document.querySelectorAll("body *")) {
  const hasText = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
  if (!hasText || node.closest("svg, script, noscript, .skip")) continue;
  const [light, dark] = [getComputedStyle(node).color, behind(node)].map(luminance).sort((a, b) => b - a);
  if ((light + 0.05) / (dark + 0.05) < 4.5) low.add(node.outerHTML.slice(0, 80));
}
return [...low];
"""
