//! Text of any size from a small bitmap font: its dots are blurred and cut off again at the new size, which rounds the
//! steps off the letters.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Point, Size};
use embedded_graphics::text::{Baseline, Text};

use crate::canvas::{Area, Canvas, Color};

/// One line of text, in the font's own dots.
#[derive(Debug)]
pub(crate) struct Lettering {
    columns: u16,
    dots: Vec<bool>,
}

impl Lettering {
    /// The height of a line at scale 1.
    pub(crate) const HEIGHT: f32 = 20.0;

    pub(crate) fn new(text: &str) -> Self {
        let columns = u16::try_from(text.chars().count()).unwrap_or(0).saturating_mul(DOTS_ACROSS);
        let dots = vec![false; usize::from(columns) * usize::from(ROWS)];
        let mut lettering = Self { columns, dots };
        let style = MonoTextStyle::new(&FONT_10X20, BinaryColor::On);
        // Drawing into memory cannot fail: the error type has no values.
        let Ok(_) = Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(&mut lettering);
        lettering
    }

    /// The width at scale 1.
    pub(crate) fn width(&self) -> f32 {
        self.columns.into()
    }

    /// Draws the text with its upper left corner at a point.
    pub(crate) fn draw(&self, canvas: &mut Canvas, x: f32, y: f32, scale: f32, color: Color) {
        let area = Area { x, y, width: self.width() * scale, height: Self::HEIGHT * scale };
        // Half a pixel of softness on either side of an edge, measured in dots.
        let softness = (0.5 / scale).min(EDGE);
        canvas.paint(area, color, |px, py| {
            let ink = self.ink((px - x) / scale - 0.5, (py - y) / scale - 0.5);
            ((ink - EDGE) / (2.0 * softness) + 0.5).clamp(0.0, 1.0)
        });
    }

    /// How much ink there is around a point, in dots: a small bell curve over the nearest 4 × 4.
    fn ink(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (mut ink, mut total) = (0.0, 0.0);
        for row in NEAREST {
            for column in NEAREST {
                let (dot_x, dot_y) = (left + column, top + row);
                let distance = (dot_x - x).powi(2) + (dot_y - y).powi(2);
                let weight = (-distance / BLUR).exp();
                total += weight;
                if self.dot(dot_x, dot_y) {
                    ink += weight;
                }
            }
        }
        ink / total
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers, checked to be within"
    )]
    fn dot(&self, x: f32, y: f32) -> bool {
        let within = x >= 0.0 && y >= 0.0 && x < self.width() && y < Self::HEIGHT;
        within && self.dots.get(y as usize * usize::from(self.columns) + x as usize) == Some(&true)
    }
}

impl OriginDimensions for Lettering {
    fn size(&self) -> Size {
        Size::new(self.columns.into(), ROWS.into())
    }
}

impl DrawTarget for Lettering {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, color) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else { continue };
            if x < usize::from(self.columns)
                && let Some(dot) = self.dots.get_mut(y * usize::from(self.columns) + x)
            {
                *dot = color.is_on();
            }
        }
        Ok(())
    }
}

const DOTS_ACROSS: u16 = 10;
const ROWS: u16 = 20;
const NEAREST: [f32; 4] = [-1.0, 0.0, 1.0, 2.0];
const BLUR: f32 = 0.7;
const EDGE: f32 = 0.45;
