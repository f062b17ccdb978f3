//! Samples from pictures: PNG, JPEG, BMP and WebP files, decoded, brought to the model's size and normalized.
//!
//! The bytes of a picture are those of Pillow's `convert("RGB")` or `convert("L")`: transparency goes, a palette
//! becomes colors, and a rotation that a camera noted is not carried out.

mod form;
mod options;
mod resample;

use std::{io::Cursor, path::Path};

use image::{DynamicImage, ImageFormat, ImageReader};

pub use options::{Color, Fit, Layout, PictureOptions};

use self::{form::Form, resample::Pixels};
use super::{
    Sample,
    files::{Depth, Files, contents},
    inputs::{Input, Inputs},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{DataType, Tensor},
};

/// What pictures are called.
const EXTENSIONS: [&str; 14] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "bmp", "webp", "gif", "tif", "tiff", "heic", "avif", "ppm", "jp2"];

/// The most bytes that a picture has on the way to its size.
const MAX_PIXELS: usize = 1 << 29;

/// The pictures of a folder, read one at a time.
#[derive(Debug)]
pub(super) struct Pictures {
    pub files: Files,
    maker: Maker,
}

/// Makes the model's input of a picture.
#[derive(Debug)]
struct Maker {
    form: Form,
    options: PictureOptions,
    input: Input,
}

impl Pictures {
    /// The pictures in a folder and the folders in it, in the order of their names; or the picture that a file is.
    pub fn open(path: &Path, inputs: &Inputs, options: &PictureOptions, limit: Option<usize>) -> Result<Self> {
        let input = inputs.only().map_err(|_| {
            Error::sample(format!("a picture is one input, but the model has {}", inputs.names(|_| true)))
        })?;
        let form = Form::of(input, options)?;
        let files = Files::open(path, &EXTENSIONS, Depth::Tree)?.taking(limit, options.refuse_broken);
        if files.is_empty() {
            let message = format!("has no pictures: no files that end in .{}", EXTENSIONS[..7].join(", ."));
            return Err(Error::sample(message).in_file(path));
        }
        Ok(Self { files, maker: Maker { form, options: options.clone(), input: input.clone() } })
    }

    /// The next sample; files that are no pictures are passed over, unless they are to be refused.
    pub fn next(&mut self) -> Option<Result<Sample>> {
        let Self { files, maker } = self;
        files.next("read as a picture", |path| {
            let pixels = decoded(path, maker.form.color)?;
            maker.tensor(&maker.fitted(pixels)?)
        })
    }
}

impl Maker {
    /// The picture at the model's size.
    fn fitted(&self, pixels: Pixels) -> Result<Pixels> {
        let (width, height) = (self.form.width, self.form.height);
        let (across, down) = (width as f64 / pixels.width as f64, height as f64 / pixels.height as f64);
        match self.options.fit {
            Fit::Stretch => Ok(pixels.resized(width, height)),
            Fit::Crop(share) => {
                // The side that has less to give goes by the share, the other one along, as torchvision has it.
                let (covered_width, covered_height) =
                    ((width as f64 / share).round() as usize, (height as f64 / share).round() as usize);
                let (new_width, new_height) = match across >= down {
                    true => (covered_width, (covered_width * pixels.height) / pixels.width),
                    false => ((covered_height * pixels.width) / pixels.height, covered_height),
                };
                let (new_width, new_height) = (new_width.max(width), new_height.max(height));
                if new_width.max(pixels.width).saturating_mul(new_height.max(pixels.height)) > MAX_PIXELS / 3 {
                    return Err(Error::sample("has sides too unlike to be cropped"));
                }
                let middle = |all: usize, part: usize| ((all - part) as f64 / 2.0).round_ties_even() as usize;
                let (left, top) = (middle(new_width, width), middle(new_height, height));
                Ok(pixels.resized(new_width, new_height).cropped(left, top, width, height))
            }
            Fit::Letterbox(fill) => {
                let ratio = across.min(down);
                let side = |side: usize, most: usize| ((side as f64 * ratio).round() as usize).clamp(1, most);
                let (new_width, new_height) = (side(pixels.width, width), side(pixels.height, height));
                let (left, top) = ((width - new_width) / 2, (height - new_height) / 2);
                Ok(pixels.resized(new_width, new_height).on(fill, left, top, width, height))
            }
        }
    }

    /// The model's input.
    fn tensor(&self, pixels: &Pixels) -> Result<Tensor> {
        let channels = pixels.channels;
        let order: Vec<usize> = match self.form.color {
            Color::Bgr => (0..channels).rev().collect(),
            Color::Rgb | Color::Gray => (0..channels).collect(),
        };
        let channel = |index: usize| pixels.bytes.iter().skip(order[index]).step_by(channels).copied();
        let picture: Vec<(usize, u8)> = match self.form.layout {
            Layout::Nchw => (0..channels).flat_map(|index| channel(index).map(move |byte| (index, byte))).collect(),
            Layout::Nhwc => {
                let pixels = pixels.bytes.chunks_exact(channels);
                pixels.flat_map(|pixel| order.iter().enumerate().map(|(index, &at)| (index, pixel[at]))).collect()
            }
        };
        let (dtype, one): (DataType, Vec<u8>) = match self.form.bytes {
            true => (DataType::Uint8, picture.into_iter().map(|(_, byte)| byte).collect()),
            false => {
                let tables: Vec<Vec<[u8; 4]>> = (0..channels).map(|index| self.table(index)).collect();
                (DataType::Float, picture.into_iter().flat_map(|(index, byte)| tables[index][byte as usize]).collect())
            }
        };
        let bytes = one.repeat(self.form.batch.unwrap_or(1));
        self.input.tensor(dtype, &self.form.shape(), bytes)
    }

    /// What each byte of a channel becomes.
    fn table(&self, channel: usize) -> Vec<[u8; 4]> {
        let PictureOptions { scale, mean, std, .. } = &self.options;
        let of = |numbers: &[f64], none: f64| *numbers.get(channel).or(numbers.first()).unwrap_or(&none);
        let (mean, std) = (of(mean, 0.0), of(std, 1.0));
        let scaled = |byte: u8| scale.map_or(f64::from(byte) / 255.0, |scale| f64::from(byte) * scale);
        (0..=u8::MAX).map(|byte| (((scaled(byte) - mean) / std) as f32).to_le_bytes()).collect()
    }
}

/// The pixels of a file.
fn decoded(path: &Path, color: Color) -> Result<Pixels> {
    let wrong = |error: image::ImageError| Error::sample(format!("cannot be read as a picture: {error}"));
    let file = contents(path)?;
    let reader = ImageReader::new(Cursor::new(&file)).with_guessed_format().map_err(ErrorKind::Read)?;
    if reader.format() == Some(ImageFormat::Jpeg) && !is_complete_jpeg(&file) {
        return Err(Error::sample("cannot be read as a picture: the end of the JPEG file is missing"));
    }
    let picture = reader.decode().map_err(wrong)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if width == 0 || height == 0 {
        return Err(Error::sample("is a picture without pixels"));
    }
    let (channels, bytes) = match color {
        Color::Rgb | Color::Bgr => (3, picture.to_rgb8().into_raw()),
        Color::Gray => (1, luminance(&picture)),
    };
    Ok(Pixels { width, height, channels, bytes })
}

/// Whether the last scan of a JPEG file has an end. Without one the decoder makes the rest of the picture up, in gray.
fn is_complete_jpeg(file: &[u8]) -> bool {
    /// What begins a scan, and what ends the picture (ITU-T T.81, table B.1); neither is within a scan.
    const SCAN: [u8; 2] = [0xff, 0xda];
    const END: [u8; 2] = [0xff, 0xd9];
    let scan = file.windows(2).rposition(|marker| marker == SCAN);
    scan.is_some_and(|scan| file[scan..].windows(2).any(|marker| marker == END))
}

/// ITU-R 601 in integers, as Pillow computes it.
fn luminance(picture: &DynamicImage) -> Vec<u8> {
    if !picture.color().has_color() {
        return picture.to_luma8().into_raw();
    }
    let sum = |[red, green, blue]: [u8; 3]| {
        (u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16
    };
    picture.to_rgb8().into_raw().as_chunks().0.iter().map(|pixel| sum(*pixel) as u8).collect()
}
