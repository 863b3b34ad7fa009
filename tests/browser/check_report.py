"""Opens a report in a real browser and checks what a reader relies on.

    python tests/browser/check_report.py report/report.html OUT

needs `pip install playwright`, a Chromium (`--browser`, /usr/bin/chromium if not told) and poppler's `pdftotext`. Leaves
`screen.png` and `report.pdf` in OUT. Exits with 1 at the first thing that is not so. The report must have labels, slices
and errors; `cargo test --test report_in_browser -- --ignored` makes one.
"""

import argparse
import re
import subprocess
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTH = 1280


def sort_keys(page: Page, table: str, column: int) -> list[float]:
    """What the rows of a numeric column are sorted by, from the top; rows that are not shown are left out."""
    cells = page.locator(f"#{table} tbody tr:not([hidden]) td:nth-child({column})")
    return [float(cell.get_attribute("data-sort") or "nan") for cell in cells.all()]


def check_sorting(page: Page, table: str, column: int) -> None:
    header = page.locator(f"#{table} thead th:nth-child({column})")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    keys = sort_keys(page, table, column)
    assert keys == sorted(keys) and keys[0] < keys[-1], keys
    # By key as well as by pointer.
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    keys = sort_keys(page, table, column)
    assert keys == sorted(keys, reverse=True), keys
    # One column at a time.
    page.locator(f"#{table} thead th:nth-child({2 if column == 1 else 1}) button").press("Space")
    assert header.get_attribute("aria-sort") is None
    assert page.locator(f"#{table} [aria-sort]").count() == 1


def check_filter(page: Page, table: str, column: int) -> None:
    """Filters by what stands in a cell of the first row, in capitals."""
    box = page.locator(f".filter:has(+ #{table}) input")
    rows = page.locator(f"#{table} tbody tr")
    if rows.count() < 8:
        assert box.count() == 0, "a box for a table that is seen at a glance"
        return
    texts = [text.lower() for text in rows.all_text_contents()]
    words = (rows.first.locator(f"td:nth-child({column})").text_content() or "").upper()
    expected = [text for text in texts if all(word in text for word in words.lower().split())]
    assert 0 < len(expected) < len(texts), f"`{words}` says nothing about {table}"
    box.fill(words)
    shown = [text.lower() for text in page.locator(f"#{table} tbody tr:visible").all_text_contents()]
    assert shown == expected, (shown, expected)
    told = page.locator(f".filter:has(+ #{table}) output").text_content()
    assert told == f"{len(expected)} of {len(texts)} rows", told
    # Paper shows all rows, whatever the box says.
    page.emulate_media(media="print")
    assert page.locator(f"#{table} tbody tr:visible").count() == len(texts)
    page.emulate_media(media="screen")
    box.fill("")
    assert page.locator(f"#{table} tbody tr:visible").count() == len(texts)


def check_text_fits(page: Page) -> None:
    """No text of a plot is cut off by its picture, and no two texts of a heat map or plot overlap."""
    faults = page.evaluate(
        """() => {
          const faults = [];
          for (const svg of document.querySelectorAll("figure svg")) {
            const frame = svg.getBoundingClientRect();
            const level = [...svg.querySelectorAll("text")].filter((t) => !/rotate/.test(t.outerHTML));
            for (const text of svg.querySelectorAll("text")) {
              const box = text.getBoundingClientRect();
              if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
                  || box.bottom > frame.bottom + 1) faults.push(`cut off: ${text.textContent}`);
            }
            const boxes = level.map((t) => [t.textContent, t.getBoundingClientRect()]);
            for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
              const [a, b] = [boxes[i][1], boxes[j][1]];
              const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
              const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
              if (x > 1 && y > 4) faults.push(`overlap: ${boxes[i][0]} and ${boxes[j][0]}`);
            }
          }
          return faults;
        }"""
    )
    assert not faults, faults


def check_paper(pdf: Path, ids: list[str], next_heading: str = "Doubtful labels|One text, several") -> None:
    """Every row is printed, and a table that goes on has its headings again."""
    pages = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    pages = pages.split("\f")
    # A long id is broken behind its hyphens.
    is_on = lambda id, page: all(part in page for part in re.split(r"(?<=-)", id))
    missing = [id for id in ids if not any(is_on(id, page) for page in pages)]
    assert not missing, f"not printed: {missing}"
    # The pages from the heading of the errors to that of the next section, if there is one.
    first = next(number for number, page in enumerate(pages) if "Errors worth reading" in page)
    later = (number for number, page in enumerate(pages) if number > first and re.search(next_heading, page))
    for page in pages[first : next(later, len(pages) - 1)]:
        assert "p(right)" in page or not any(is_on(id, page) for id in ids), "headings are not repeated"


def check_without_script(browser, url: str, rows: int) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    assert page.locator("#labels-table tbody tr:visible").count() == rows
    assert page.locator("button, input").count() == 0, "a control that does nothing"
    context.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("report", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--browser", default="/usr/bin/chromium")
    told = arguments.parse_args()
    url = told.report.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=told.browser, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= WIDTH, f"scrolls sideways: {width} px"
        page.screenshot(path=told.out / "screen.png", full_page=True)
        check_text_fits(page)
        check_sorting(page, "labels-table", 3)
        check_sorting(page, "labels-table", 7)
        check_sorting(page, "slices-table", 4)
        check_sorting(page, "errors-table", 4)
        check_filter(page, "labels-table", 2)
        check_filter(page, "slices-table", 2)
        check_filter(page, "errors-table", 1)
        page.reload()
        page.emulate_media(media="print")
        page.pdf(path=told.out / "report.pdf", prefer_css_page_size=True)
        check_paper(told.out / "report.pdf", page.locator("#errors-table tbody td:first-child").all_text_contents())
        rows = page.locator("#labels-table tbody tr").count()
        # The policy is there and at work: a script that the page does not know is not run.
        before = len(complaints)
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); }"
        )
        assert page.evaluate("window.ran") is None, "the policy let a foreign script run"
        del complaints[before:]
        check_without_script(browser, url, rows)
        browser.close()
    assert not complaints, complaints
    assert set(requests) == {url}, requests
    print("the report is as it should be")


if __name__ == "__main__":
    main()
