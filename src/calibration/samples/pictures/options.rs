//! How pictures become a model's input.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};
use crate::setters::setters;

/// How pictures become a model's input: each is brought to a size, and each byte `x` of it to
/// `(x * scale - mean) / std`. What is not said here is taken from the model's input where it tells.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PictureOptions {
    /// Width and height in pixels; the model's, where its input has fixed sizes, which these may not contradict.
    pub size: Option<(usize, usize)>,
    /// Width and height where neither `size` nor the model says them.
    pub usual_size: Option<(usize, usize)>,
    /// What becomes of a picture whose sides are in another proportion.
    pub fit: Fit,
    /// The order of the colors; by default `Gray` where the model takes one channel, `Rgb` where it takes three.
    pub color: Option<Color>,
    /// Where the colors are; by default where the model's input has an axis of 1 or 3.
    pub layout: Option<Layout>,
    /// What bytes are multiplied with; by default 1/255, and nothing where the model takes bytes.
    pub scale: Option<f64>,
    /// What is subtracted then, for each channel or for all.
    pub mean: Vec<f64>,
    /// What is divided by then, for each channel or for all.
    pub std: Vec<f64>,
    /// Fail at a file that is no picture or a damaged one, instead of [passing it over](super::super::Samples::skipped).
    pub refuse_broken: bool,
}

setters!(PictureOptions {
    with_size(size: Option<(usize, usize)>),
    with_usual_size(usual_size: Option<(usize, usize)>),
    with_fit(fit: Fit),
    with_color(color: Option<Color>),
    with_layout(layout: Option<Layout>),
    with_scale(scale: Option<f64>),
    with_mean(mean: Vec<f64>),
    with_std(std: Vec<f64>),
    with_refuse_broken(refuse_broken: bool),
});

/// What becomes of a picture whose sides are in another proportion than the model's input: `stretch`, `crop`,
/// `crop:0.875` or `letterbox`, `letterbox:114`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum Fit {
    /// Both sides are stretched.
    #[default]
    Stretch,
    /// The middle is kept: this share of the shorter side, from above 0 to 1.
    Crop(f64),
    /// All of it is kept, on a ground of this gray.
    Letterbox(u8),
}

/// The channels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Color {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Their luminance, by ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
    Gray,
}

/// Where the channels are among the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Before rows and columns.
    Nchw,
    /// Behind them.
    Nhwc,
}

/// The mean of ImageNet's training set, and its standard deviation, of bytes over 255.
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

impl PictureOptions {
    /// The names of the [presets](Self::preset).
    pub const PRESETS: &[&'static str] = &["imagenet", "inception", "caffe", "yolo", "raw"];

    /// What models of a kind are usually given:
    ///
    /// - `imagenet`: 224 pixels, the middle 7/8 of the shorter side, normalized by ImageNet's mean and deviation, as
    ///   torchvision's classifiers;
    /// - `inception`: the same picture, from -1 to 1, as MobileNet, Inception and ViT from TensorFlow;
    /// - `caffe`: the same picture, BGR, bytes less ImageNet's mean, as Keras' ResNet and VGG;
    /// - `yolo`: 640 pixels on a gray ground, from 0 to 1;
    /// - `raw`: bytes as they are.
    ///
    /// # Errors
    /// There is no such preset.
    pub fn preset(name: &str) -> Result<Self> {
        let classifier = Self { usual_size: Some((224, 224)), fit: Fit::Crop(0.875), ..Self::default() };
        match name {
            "imagenet" => Ok(Self { mean: IMAGENET.0.into(), std: IMAGENET.1.into(), ..classifier }),
            "inception" => Ok(Self { mean: vec![0.5], std: vec![0.5], ..classifier }),
            "caffe" => Ok(Self {
                color: Some(Color::Bgr),
                scale: Some(1.0),
                mean: vec![103.939, 116.779, 123.68],
                ..classifier
            }),
            "yolo" => Ok(Self { usual_size: Some((640, 640)), fit: Fit::Letterbox(114), ..Self::default() }),
            "raw" => Ok(Self { scale: Some(1.0), ..Self::default() }),
            _ => Err(Error::config(format!("'{name}' is no preset; there are {}", Self::PRESETS.join(", ")))),
        }
    }

    /// Whether the numbers can be computed with.
    pub(super) fn check(&self, channels: usize) -> Result<()> {
        for (what, numbers) in [("mean", &self.mean), ("std", &self.std)] {
            if !matches!(numbers.len(), 0 | 1) && numbers.len() != channels {
                let (given, of) = (numbers.len(), if channels == 1 { "1 channel" } else { "3 channels" });
                return Err(Error::config(format!("{given} numbers were given as {what}, for {of}")));
            }
        }
        let numbers = self.scale.iter().chain(&self.mean).chain(&self.std);
        if numbers.chain(&self.std).any(|number| !number.is_finite()) || self.std.iter().any(|&std| std <= 0.0) {
            return Err(Error::config("scale, mean and std are to be finite numbers, and std is to be above 0"));
        }
        Ok(())
    }
}

impl FromStr for Fit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let forms = "stretch, crop, crop:SHARE (above 0, up to 1), letterbox, letterbox:GRAY (0 to 255)";
            Error::config(format!("'{text}' is none of {forms}"))
        };
        match text.split_once(':').map_or((text, None), |(kind, number)| (kind, Some(number))) {
            ("stretch", None) => Ok(Self::Stretch),
            ("crop", None) => Ok(Self::Crop(1.0)),
            ("crop", Some(share)) => {
                let share = share.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
                share.map(Self::Crop).ok_or_else(wrong)
            }
            ("letterbox", None) => Ok(Self::Letterbox(114)),
            ("letterbox", Some(gray)) => gray.parse().map(Self::Letterbox).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

macro_rules! named {
    ($type:ty { $($name:literal => $value:expr),+ }) => {
        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($name => Ok($value),)+
                    _ => Err(Error::config(format!("'{text}' is none of {}", [$($name),+].join(", ")))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(if *self == $value { return f.write_str($name); })+
                Ok(())
            }
        }
    };
}

named!(Color { "rgb" => Self::Rgb, "bgr" => Self::Bgr, "gray" => Self::Gray });
named!(Layout { "nchw" => Self::Nchw, "nhwc" => Self::Nhwc });
