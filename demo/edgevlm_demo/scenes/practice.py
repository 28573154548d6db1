"""Practice sheets: as many displays and labels as fit, for the first stage of training only; no questions."""

from __future__ import annotations

from edgevlm_demo.scenes import display, label
from edgevlm_demo.scenes.canvas import Canvas, Sprite, small_angle


def draw(canvas: Canvas) -> None:
    """Rows from the top; each row holds one or two objects of the smaller readable sizes."""
    random, unit = canvas.random, canvas.unit
    angle = small_angle(random, 3.0)
    y = 0
    while True:
        x, row_height = random.randint(0, round(14 * unit)), 0
        failed = 0
        while failed < 2:
            sprite = _sprite(canvas)
            image = sprite.image.rotate(angle, expand=True) if angle else sprite.image
            if x + image.width > canvas.width or y + image.height > canvas.height:
                failed += 1
                continue
            canvas.paste(sprite, image, x, y, angle)
            x += image.width + random.randint(0, round(8 * unit))
            row_height = max(row_height, image.height)
        if not row_height:
            return
        y += row_height + random.randint(0, round(8 * unit))


def _sprite(canvas: Canvas) -> Sprite:
    random = canvas.random
    width, _ = canvas.size(canvas.whole)
    if random.random() < 0.5:
        number = display.choose_display(random, display.most_characters(width))
        height = random.uniform(display.MIN_HEIGHT, 1.5 * display.MIN_HEIGHT)
        return display.display_sprite(random, number, height * canvas.unit, canvas.style)
    text = label.choose_label(random, label.LONGEST)
    height = random.uniform(label.MIN_HEIGHT, 1.4 * label.MIN_HEIGHT)
    return label.label_sprite(random, text, height * canvas.unit, canvas.style)
