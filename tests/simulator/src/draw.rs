//! Draws a banner, so that a person who opens the file sees which one it is: a gradient and a few discs in colours that
//! follow from the id, the name of the format, its size, and the first characters of the id.

use crate::banner::{Banner, PictureFormat, fingerprint};
use crate::canvas::{Area, Canvas, Color};
use crate::lettering::Lettering;

/// The frames of a banner: two for an animation, one for everything else.
pub(crate) fn frames(banner: &Banner) -> Vec<Canvas> {
    let count = if banner.format == PictureFormat::Gif { 2 } else { 1 };
    (0..count).map(|number| frame(banner, number == 1)).collect()
}

fn frame(banner: &Banner, highlighted: bool) -> Canvas {
    let palette = Palette::of(&banner.id);
    let mut canvas = Canvas::gradient(banner.width, banner.height, palette.from, palette.to);
    let whole = canvas.area();
    discs(&mut canvas, whole);
    let layout = Layout::of(whole);
    let size = format!("{} × {}", banner.width, banner.height);
    let titles: Vec<&str> =
        if layout.one_word_a_line { banner.name.split(' ').collect() } else { vec![banner.name] };
    let mut lines: Vec<Line<'_>> =
        titles.into_iter().map(|text| Line { text, weight: 1.0, color: WHITE }).collect();
    lines.push(Line { text: &size, weight: 0.62, color: palette.pale });
    stack(&mut canvas, layout.text, &lines);
    let (paper, ink) = if highlighted { (palette.bright, palette.from) } else { (WHITE, palette.from) };
    label(&mut canvas, layout.label, banner.short_id(), paper, ink);
    canvas
}

/// Where things go, by the shape of the banner.
struct Layout {
    text: Area,
    label: Area,
    one_word_a_line: bool,
}

impl Layout {
    fn of(whole: Area) -> Self {
        let margin = (whole.width.min(whole.height) * 0.1).max(5.0);
        let inner = whole.shrunk(margin);
        if whole.width > whole.height * 2.5 {
            let label_width = (inner.width * 0.24).min(inner.height * 3.6);
            let label_height = (inner.height * 0.62).min(label_width * 0.3);
            let label = Area {
                x: inner.x + inner.width - label_width,
                y: inner.y + (inner.height - label_height) / 2.0,
                width: label_width,
                height: label_height,
            };
            let text = Area { width: inner.width - label_width - 2.0 * margin, ..inner };
            Self { text, label, one_word_a_line: false }
        } else {
            let tall = whole.height > whole.width * 1.5;
            let label_width = if tall { inner.width } else { inner.width * 0.5 };
            let label_height = label_width * 0.3;
            let label = Area {
                x: inner.x,
                y: inner.y + inner.height - label_height,
                width: label_width,
                height: label_height,
            };
            let text = Area { height: inner.height - label_height - margin, ..inner };
            Self { text, label, one_word_a_line: true }
        }
    }
}

struct Line<'a> {
    text: &'a str,
    weight: f32,
    color: Color,
}

/// Sets lines under one another, as large as the area allows, centred in its height.
fn stack(canvas: &mut Canvas, area: Area, lines: &[Line<'_>]) {
    let words: Vec<_> = lines.iter().map(|line| (Lettering::new(line.text), line)).collect();
    let rows: f32 = lines.iter().map(|line| line.weight * LEADING).sum();
    let widest = words.iter().map(|(word, line)| word.width() * line.weight).fold(1.0, f32::max);
    let scale = (area.height / (rows * Lettering::HEIGHT)).min(area.width / widest);
    let mut y = area.y + (area.height - rows * Lettering::HEIGHT * scale) / 2.0;
    for (word, line) in &words {
        let size = scale * line.weight;
        word.draw(canvas, area.x, y + (LEADING - 1.0) / 2.0 * Lettering::HEIGHT * size, size, line.color);
        y += LEADING * Lettering::HEIGHT * size;
    }
}

/// A plate with a text in its middle.
fn label(canvas: &mut Canvas, area: Area, text: &str, paper: Color, ink: Color) {
    canvas.plate(area, area.height * 0.28, paper, 0.94);
    let word = Lettering::new(text);
    let scale = (area.height * 0.72 / Lettering::HEIGHT).min(area.width * 0.86 / word.width());
    let x = area.x + (area.width - word.width() * scale) / 2.0;
    let y = area.y + (area.height - Lettering::HEIGHT * scale) / 2.0;
    word.draw(canvas, x, y, scale, ink);
}

fn discs(canvas: &mut Canvas, whole: Area) {
    let (short, long) = (whole.width.min(whole.height), whole.width.max(whole.height));
    let reach = (short * long).sqrt();
    canvas.disc(whole.width * 0.92, whole.height * 0.08, reach * 0.46, WHITE, 0.13);
    canvas.disc(whole.width * 0.78, whole.height * 1.02, reach * 0.34, WHITE, 0.10);
    canvas.disc(whole.width * 0.04, whole.height * 0.96, reach * 0.22, BLACK, 0.10);
}

/// The colours of one banner.
struct Palette {
    from: Color,
    to: Color,
    pale: Color,
    bright: Color,
}

impl Palette {
    fn of(id: &str) -> Self {
        let [turn, lean, ..] = fingerprint(id);
        // From green over blue and violet to red: the rest of the circle looks dull under white letters.
        let hue = 0.36 + f32::from(turn) / 256.0 * 0.64;
        let neighbour = hue + 0.09 + f32::from(lean) / 256.0 * 0.1;
        Self {
            from: color(hue, 0.72, 0.42),
            to: color(neighbour, 0.78, 0.74),
            pale: color(hue, 0.12, 1.0),
            bright: color(hue + 0.5, 0.28, 1.0),
        }
    }
}

/// Hue in turns, saturation and value from 0 to 1.
fn color(hue: f32, saturation: f32, value: f32) -> Color {
    [5.0, 3.0, 1.0].map(|shift| {
        let k = (shift + hue.rem_euclid(1.0) * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

const WHITE: Color = [1.0; 3];
const BLACK: Color = [0.0; 3];
const LEADING: f32 = 1.12;
