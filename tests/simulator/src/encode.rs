//! From pixels to a file. Encoders write to memory and are given sizes they can take, so their errors have no cause
//! here; should one occur all the same, the file is empty and every test that looks at it says so.

use gif::{Frame, Repeat};
use image_webp::{ColorType, WebPEncoder};

use crate::banner::PictureFormat;
use crate::canvas::Canvas;

/// The file for these frames; still formats take the first.
pub(crate) fn encode(frames: &[Canvas], format: PictureFormat) -> Vec<u8> {
    let Some(first) = frames.first() else { return Vec::new() };
    let file = match format {
        PictureFormat::Png => png(first),
        PictureFormat::Jpeg => jpeg(first),
        PictureFormat::Gif => animation(frames),
        PictureFormat::Webp => webp(first),
    };
    file.unwrap_or_default()
}

fn png(canvas: &Canvas) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, canvas.width.into(), canvas.height.into());
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&canvas.bytes()).ok()?;
    writer.finish().ok()?;
    Some(file)
}

fn jpeg(canvas: &Canvas) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.encode(&canvas.bytes(), canvas.width, canvas.height, jpeg_encoder::ColorType::Rgb).ok()?;
    Some(file)
}

fn webp(canvas: &Canvas) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let encoder = WebPEncoder::new(&mut file);
    encoder.encode(&canvas.bytes(), canvas.width.into(), canvas.height.into(), ColorType::Rgb8).ok()?;
    Some(file)
}

fn animation(frames: &[Canvas]) -> Option<Vec<u8>> {
    let first = frames.first()?;
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, first.width, first.height, &[]).ok()?;
    encoder.set_repeat(Repeat::Infinite).ok()?;
    for canvas in frames {
        let mut frame = Frame::from_rgb_speed(canvas.width, canvas.height, &canvas.bytes(), FASTEST);
        frame.delay = HUNDREDTHS_PER_FRAME;
        encoder.write_frame(&frame).ok()?;
    }
    drop(encoder);
    Some(file)
}

/// The palette is chosen from a sample: the pictures are gradients, and tests draw many.
const FASTEST: i32 = 30;
const HUNDREDTHS_PER_FRAME: u16 = 80;
