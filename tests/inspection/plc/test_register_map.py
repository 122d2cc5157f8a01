from inspection.plc.register_map import render_register_map
from inspection.plc.registers import REGISTERS

from .bench import ROOT


def test_the_page_in_docs_is_what_the_code_says():
    page = (ROOT / "docs" / "register-map.md").read_text("utf-8")
    assert page == render_register_map(), "run: python -m inspection.plc.register_map > docs/register-map.md"


def test_every_register_is_on_the_page():
    page = render_register_map()
    assert all(
        f"| {register.span} | {register.direction} | {register.name} |" in page for register in REGISTERS
    )
