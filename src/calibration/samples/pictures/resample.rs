//! Pictures of another size: bilinear with as wide a filter as the picture becomes smaller, so that every pixel counts.
//!
//! The weights, their rounding to 22 bits, which direction comes first, and the rounding to bytes in between are those
//! of Pillow's `Image.resize` with `BILINEAR` (13.0), which most training code uses, so that the same bytes come out.

/// Pixels, row by row, the channels of each side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub bytes: Vec<u8>,
}

/// What one pixel of the result is made of: neighbouring pixels from `first` on, and their weights.
struct Window {
    first: usize,
    weights: Vec<i64>,
}

/// The bits of a weight behind the point.
const PRECISION: u32 = 22;

impl Pixels {
    /// The same picture of another size; both sizes are 1 at least.
    pub fn resized(self, width: usize, height: usize) -> Self {
        if self.is_height_first(width, height) {
            self.with_height(height).with_width(width)
        } else {
            self.with_width(width).with_height(height)
        }
    }

    /// Whether the height is changed before the width: where it loses more than twice as many pixels. (Found by
    /// comparing with Pillow; before version 13 the width always came first.)
    fn is_height_first(&self, width: usize, height: usize) -> bool {
        let lost = |from: usize, to: usize| from as i64 - to as i64;
        let (across, down) = (lost(self.width, width), lost(self.height, height));
        down > 0 && down > 2 * across
    }

    fn with_width(self, width: usize) -> Self {
        if width == self.width {
            return self;
        }
        let (channels, windows) = (self.channels, windows(self.width, width));
        let mut bytes = Vec::with_capacity(width * self.height * channels);
        for row in self.bytes.chunks_exact(self.width * channels) {
            for window in &windows {
                for channel in 0..channels {
                    let pixels = row[window.first * channels..].iter().skip(channel).step_by(channels);
                    bytes.push(window.apply(pixels));
                }
            }
        }
        Self { width, bytes, ..self }
    }

    fn with_height(self, height: usize) -> Self {
        if height == self.height {
            return self;
        }
        let row = self.width * self.channels;
        let mut bytes = Vec::with_capacity(row * height);
        for window in windows(self.height, height) {
            for column in 0..row {
                bytes.push(window.apply(self.bytes[window.first * row..].iter().skip(column).step_by(row)));
            }
        }
        Self { height, bytes, ..self }
    }

    /// The part of the picture of a size, from a corner on that it must have room behind.
    pub fn cropped(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let (row, part) = (self.width * self.channels, left * self.channels..(left + width) * self.channels);
        let rows = self.bytes.chunks_exact(row).skip(top).take(height);
        Self { width, height, bytes: rows.flat_map(|row| &row[part.clone()]).copied().collect(), ..*self }
    }

    /// The picture on a larger one of one color, its corner at a place that leaves room for it.
    pub fn on(&self, fill: u8, left: usize, top: usize, width: usize, height: usize) -> Self {
        let mut bytes = vec![fill; width * height * self.channels];
        let (row, wide) = (self.width * self.channels, width * self.channels);
        for (index, pixels) in self.bytes.chunks_exact(row).enumerate() {
            let start = (top + index) * wide + left * self.channels;
            bytes[start..start + row].copy_from_slice(pixels);
        }
        Self { width, height, bytes, ..*self }
    }
}

impl Window {
    fn apply<'a>(&self, pixels: impl Iterator<Item = &'a u8>) -> u8 {
        let half = 1 << (PRECISION - 1);
        let sum: i64 = self.weights.iter().zip(pixels).map(|(weight, pixel)| weight * i64::from(*pixel)).sum();
        ((sum + half) >> PRECISION).clamp(0, 255) as u8
    }
}

/// The windows of all pixels along one axis.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // Half the width of the triangle; enlarged, a pixel still lies between two.
    let support = scale.max(1.0);
    let window = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        // Both are positive once they are cut off, and are cut off as integers are made of them.
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weight = |pixel: usize| (1.0 - ((pixel as f64 - center + 0.5) / support).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let rounded = weights.iter().map(|weight| (0.5 + weight / sum * f64::from(1 << PRECISION)) as i64).collect();
        Window { first, weights: rounded }
    };
    (0..to).map(window).collect()
}
