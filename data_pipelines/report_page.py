"""HTML reports: a single file that opens anywhere, on a phone or a dark screen too."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from data_pipelines.figures import DARK, LIGHT, Picture


def render_page(template: Path, pictures: Sequence[Picture], **values: Any) -> str:
    """Fill a template that extends `page.html.jinja` and may include `gallery.html.jinja`.

    Args:
        template: its file.
        pictures: drawn for light and dark screens.
        values: what else the template names.

    Returns:
        HTML without references to other files.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [
        {
            "title": picture.title,
            "caption": picture.caption,
            "light": base64.b64encode(picture.draw(LIGHT)).decode(),
            "dark": base64.b64encode(picture.draw(DARK)).decode(),
        }
        for picture in pictures
    ]
    return environment.get_template(template.name).render(pictures=drawn, **values)
