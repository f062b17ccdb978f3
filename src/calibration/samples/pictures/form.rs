//! What a model's input wants a picture to be.

use super::{Color, Layout, PictureOptions};
use crate::{
    calibration::samples::{MAX_BYTES, inputs::Input},
    error::{Error, Result},
    ir::{DataType, Dim, is_float},
};

/// The form of a picture as a model takes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form {
    pub width: usize,
    pub height: usize,
    pub color: Color,
    pub layout: Layout,
    /// How often the picture is repeated, in front; `None` where the input has no axis for that.
    pub batch: Option<usize>,
    /// Whether bytes are taken, and not floats.
    pub bytes: bool,
}

impl Form {
    /// What an input and the options say together.
    pub fn of(input: &Input, options: &PictureOptions) -> Result<Self> {
        let ty = input.ty();
        let wrong = |what: String| Error::sample(format!("input '{}' is {ty} in the model: {what}", input.name()));
        let bytes = match ty.dtype {
            None => false,
            Some(dtype) if is_float(dtype) => false,
            Some(DataType::Uint8) => true,
            Some(_) => return Err(wrong("pictures are floats, or bytes (uint8)".to_owned())),
        };
        let unknown = vec![Dim::Unstated; 4];
        let dims = ty.dims.as_ref().unwrap_or(&unknown);
        let (batch, axes) = match &dims[..] {
            [batch, a, b, c] => (Some(batch.size().unwrap_or(1)), [a, b, c]),
            [a, b, c] => (None, [a, b, c]),
            _ => return Err(wrong("pictures have 3 axes, or 4 with a batch".to_owned())),
        };
        let is_channels = |dim: &Dim| matches!(dim.size(), Some(1 | 3));
        let layout = match (options.layout, is_channels(axes[0]), is_channels(axes[2])) {
            (Some(layout), ..) => layout,
            (None, true, false) => Layout::Nchw,
            (None, false, true) => Layout::Nhwc,
            (None, ..) => {
                let what = "that does not tell which axis is the colors; give --layout nchw or nhwc";
                return Err(wrong(what.to_owned()));
            }
        };
        let [channels, height, width] = match layout {
            Layout::Nchw => axes,
            Layout::Nhwc => [axes[2], axes[0], axes[1]],
        };
        let color = match (options.color, channels.size()) {
            (Some(color), None) => color,
            (Some(color), Some(size)) if color.channels() == size => color,
            (Some(color), Some(size)) => {
                return Err(wrong(format!("{color} has {}, and there it takes {size}", count(color.channels()))));
            }
            (None, Some(1)) => Color::Gray,
            (None, None | Some(3)) => Color::Rgb,
            (None, Some(size)) => return Err(wrong(format!("its {} are no colors of pictures", count(size)))),
        };
        let size =
            |axis: &Dim, asked: Option<usize>, usual: Option<usize>, what: &str| match (axis.size(), asked) {
                (Some(size), Some(asked)) if size != asked => {
                    Err(wrong(format!("its {what} is {size}, and --resize says {asked}; leave that out")))
                }
                (fixed, asked) => fixed.or(asked).or(usual).filter(|&size| size > 0).ok_or_else(|| {
                    wrong("that leaves the size of a picture open; give --resize WIDTHxHEIGHT".to_owned())
                }),
            };
        let (asked, usual) = (options.size, options.usual_size);
        let width = size(width, asked.map(|it| it.0), usual.map(|it| it.0), "width")?;
        let height = size(height, asked.map(|it| it.1), usual.map(|it| it.1), "height")?;
        options.check(color.channels())?;
        let normalizes =
            options.scale.is_some_and(|scale| scale != 1.0) || options.mean.iter().any(|&mean| mean != 0.0);
        if bytes && (normalizes || options.std.iter().any(|&std| std != 1.0)) {
            return Err(wrong("it takes bytes as they are; leave out --scale, --mean and --std".to_owned()));
        }
        let form = Self { width, height, color, layout, batch, bytes };
        let elements = form.shape().iter().try_fold(size_of::<f32>(), |product, &size| product.checked_mul(size));
        match elements {
            Some(1..=MAX_BYTES) => Ok(form),
            _ => Err(wrong("a picture like that is too large, or empty".to_owned())),
        }
    }

    /// The shape of the tensor.
    pub fn shape(&self) -> Vec<usize> {
        let (channels, height, width) = (self.color.channels(), self.height, self.width);
        let picture = match self.layout {
            Layout::Nchw => [channels, height, width],
            Layout::Nhwc => [height, width, channels],
        };
        self.batch.into_iter().chain(picture).collect()
    }
}

impl Color {
    /// How many channels there are.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

fn count(channels: usize) -> String {
    if channels == 1 { "1 channel".to_owned() } else { format!("{channels} channels") }
}
