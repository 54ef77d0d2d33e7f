//! A picture being drawn: pixels, and the few shapes banners are made of, with soft edges.

/// Red, green and blue, from 0 to 1.
pub(crate) type Color = [f32; 3];

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

/// A picture being drawn.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pixels: Vec<Color>,
}

impl Area {
    /// The area without a margin all around.
    pub(crate) fn shrunk(self, margin: f32) -> Self {
        let (width, height) = (self.width - 2.0 * margin, self.height - 2.0 * margin);
        Self { x: self.x + margin, y: self.y + margin, width, height }
    }
}

impl Canvas {
    /// From one corner to the opposite one.
    pub(crate) fn gradient(width: u16, height: u16, from: Color, to: Color) -> Self {
        let (wide, high) = (f32::from(width), f32::from(height));
        let pixel = |x: u16, y: u16| mix(from, to, f32::midpoint(f32::from(x) / wide, f32::from(y) / high));
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| pixel(x, y))).collect();
        Self { width, height, pixels }
    }

    /// A filled circle.
    pub(crate) fn disc(&mut self, x: f32, y: f32, radius: f32, color: Color, opacity: f32) {
        let area = Area { x: x - radius, y: y - radius, width: 2.0 * radius, height: 2.0 * radius };
        self.paint(area, color, |px, py| opacity * (radius - (px - x).hypot(py - y) + 0.5).clamp(0.0, 1.0));
    }

    /// A filled rectangle with round corners.
    pub(crate) fn plate(&mut self, area: Area, corner: f32, color: Color, opacity: f32) {
        let (half_width, half_height) = (area.width / 2.0, area.height / 2.0);
        let (x, y) = (area.x + half_width, area.y + half_height);
        self.paint(area, color, |px, py| {
            let outside_x = ((px - x).abs() - half_width + corner).max(0.0);
            let outside_y = ((py - y).abs() - half_height + corner).max(0.0);
            opacity * (corner - outside_x.hypot(outside_y) + 0.5).clamp(0.0, 1.0)
        });
    }

    /// Lays a colour over the pixels of an area, as opaque as `cover` says for the middle of each.
    pub(crate) fn paint(&mut self, area: Area, color: Color, cover: impl Fn(f32, f32) -> f32) {
        let columns = whole(area.x.floor(), self.width)..whole((area.x + area.width).ceil(), self.width);
        for y in whole(area.y.floor(), self.height)..whole((area.y + area.height).ceil(), self.height) {
            for x in columns.clone() {
                let opacity = cover(f32::from(x) + 0.5, f32::from(y) + 0.5);
                if let Some(pixel) =
                    self.pixels.get_mut(usize::from(y) * usize::from(self.width) + usize::from(x))
                {
                    *pixel = mix(*pixel, color, opacity);
                }
            }
        }
    }

    pub(crate) fn area(&self) -> Area {
        Area { x: 0.0, y: 0.0, width: self.width.into(), height: self.height.into() }
    }

    /// Three bytes a pixel, row by row.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().flatten().map(|part| byte(*part)).collect()
    }
}

fn mix(under: Color, over: Color, opacity: f32) -> Color {
    let [r, g, b] = under;
    let [or, og, ob] = over;
    [r + (or - r) * opacity, g + (og - g) * opacity, b + (ob - b) * opacity]
}

/// A coordinate, kept within the picture.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of the result"
)]
fn whole(coordinate: f32, limit: u16) -> u16 {
    coordinate.clamp(0.0, f32::from(limit)) as u16
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of the result"
)]
fn byte(part: f32) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0).round() as u8
}
