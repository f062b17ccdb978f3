//! Where samples come from, for the commands that run a model: arrays, pictures, or random numbers.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use onnx_quant::{
    Config, ErrorKind, Model, OutputFile,
    calibration::{
        Sample, Samples,
        samples::{Color, Fit, Layout, PictureOptions, SoundOptions},
    },
    findings::{Code, Fact, Severity},
};

use super::{Failure, failed, outputs::Paths, settings::ACTIVATIONS};

/// What is said where there are no samples.
pub const MISSING: &str = "samples are needed: --samples, --images, --text, --audio or --random";

/// The heading in the help of what is about pictures.
const PICTURES: &str = "Pictures as samples";

/// Which samples, and how what they are made of becomes the model's input.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Source {
    /// Samples of the model's input: a folder of .npz or .npy files, one such file of many samples, a folder with
    /// test_data_set_* folders, or a text file that lists paths
    #[arg(long, visible_aliases = ["calibrate", "samples-from"], value_name = "PATH", help_heading = ACTIVATIONS, group = "source")]
    samples: Option<PathBuf>,

    /// Samples of random numbers, so many: shows whether a model can be run and quantized, and no more; its ranges are
    /// worth nothing
    #[arg(long, value_name = "N", help_heading = ACTIVATIONS, group = "source")]
    random: Option<NonZeroUsize>,

    /// Write what the model is given into this folder, which must be new or empty, each sample as an .npz file
    #[arg(long, value_name = "FOLDER", help_heading = ACTIVATIONS, requires = "source")]
    save_samples: Option<PathBuf>,

    /// Samples that are pictures: a folder of PNG, JPEG, BMP and WebP files, in folders too
    #[arg(long, value_name = "FOLDER", help_heading = PICTURES, group = "source")]
    images: Option<PathBuf>,

    /// What models of a kind are given: imagenet, inception, caffe, yolo, raw; other options win
    #[arg(long, value_name = "NAME", help_heading = PICTURES, requires = "images", value_parser = preset)]
    preset: Option<PictureOptions>,

    /// Width and height in pixels, or one number for both [default: the model's]
    #[arg(long, value_name = "WIDTHxHEIGHT", help_heading = PICTURES, requires = "images", value_parser = size)]
    resize: Option<(usize, usize)>,

    /// What becomes of other proportions: stretch, crop, crop:0.875 (the middle, of this share of the shorter side),
    /// letterbox, letterbox:114 (all of it on this gray) [default: stretch]
    #[arg(long, value_name = "HOW", help_heading = PICTURES, requires = "images")]
    fit: Option<Fit>,

    /// Subtract this, for all channels or for each, as 0.485,0.456,0.406 [default: 0]
    #[arg(long, value_name = "NUMBERS", help_heading = PICTURES, requires = "images", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Vec<f64>,

    /// Divide by this then, for all channels or for each [default: 1]
    #[arg(long, value_name = "NUMBERS", help_heading = PICTURES, requires = "images", value_delimiter = ',')]
    std: Vec<f64>,

    /// Multiply bytes with this before: a number or a fraction, as 1/255 [default: 1/255, and 1 where the model takes
    /// bytes]
    #[arg(long, value_name = "NUMBER", help_heading = PICTURES, requires = "images", value_parser = fraction)]
    scale: Option<f64>,

    /// rgb, bgr or gray [default: gray where the model takes one channel, rgb otherwise]
    #[arg(long, value_name = "COLOR", help_heading = PICTURES, requires = "images")]
    color: Option<Color>,

    /// nchw or nhwc [default: what the model's input says]
    #[arg(long, value_name = "LAYOUT", help_heading = PICTURES, requires = "images")]
    layout: Option<Layout>,

    /// Samples that are texts: the lines of a file, for input_ids, attention_mask, token_type_ids and position_ids
    #[arg(long, value_name = "FILE", help_heading = TEXTS, group = "source", requires = "tokenizer")]
    text: Option<PathBuf>,

    /// The tokenizer.json of the model, of Hugging Face's tokenizers
    #[arg(long, value_name = "FILE", help_heading = TEXTS, requires = "text")]
    tokenizer: Option<PathBuf>,

    /// Cut texts off behind so many tokens [default: where the model or the tokenizer says so]
    #[arg(long, value_name = "N", help_heading = TEXTS, requires = "text")]
    max_tokens: Option<NonZeroUsize>,

    /// Samples that are recordings: the WAV files of a folder, as waveforms from -1 to 1
    #[arg(long, value_name = "FOLDER", help_heading = SOUNDS, group = "source")]
    audio: Option<PathBuf>,

    /// Samples a second that the model takes; files of another rate are passed over [default: that of the first file]
    #[arg(long, value_name = "HERTZ", help_heading = SOUNDS, requires = "audio", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

/// The heading in the help of what is about texts.
const TEXTS: &str = "Texts as samples";

/// The heading in the help of what is about sound.
const SOUNDS: &str = "Sound as samples";

impl Source {
    /// Whether there are samples at all.
    pub fn is_given(&self) -> bool {
        self.samples.is_some()
            || self.images.is_some()
            || self.text.is_some()
            || self.audio.is_some()
            || self.random.is_some()
    }

    /// The first option that was given of those that are about pictures only.
    fn of_pictures(&self) -> Option<&'static str> {
        let given = [
            ("--preset", self.preset.is_some()),
            ("--resize", self.resize.is_some()),
            ("--fit", self.fit.is_some()),
            ("--mean", !self.mean.is_empty()),
            ("--std", !self.std.is_empty()),
            ("--scale", self.scale.is_some()),
            ("--color", self.color.is_some()),
            ("--layout", self.layout.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// What is read of it.
    pub fn paths(&self, paths: &mut Paths) {
        let samples = self.samples.iter().chain(&self.images).chain(&self.text).chain(&self.audio);
        samples.for_each(|samples| paths.read("the samples", samples));
        self.tokenizer.iter().for_each(|tokenizer| paths.read("the tokenizer", tokenizer));
    }

    /// The samples, at most `limit` of them.
    pub fn open(&self, model: &Model, config: &Config, limit: Option<NonZeroUsize>) -> Result<Samples, Failure> {
        // Beside another source the parser does not mind what only this one needs.
        let without =
            |option: &str, needed: &str| Err(Failure::Usage(format!("{option} makes no sense without {needed}")));
        match (self.of_pictures(), &self.tokenizer, self.max_tokens) {
            (Some(option), ..) if self.images.is_none() => return without(option, "--images"),
            (_, Some(_), _) if self.text.is_none() => return without("--tokenizer", "--text"),
            (.., Some(_)) if self.text.is_none() => return without("--max-tokens", "--text"),
            _ if self.rate.is_some() && self.audio.is_none() => return without("--rate", "--audio"),
            _ => {}
        }
        let limit = limit.map(NonZeroUsize::get);
        if let Some(path) = &self.samples {
            Ok(Samples::open(path, model, limit)?)
        } else if let Some(folder) = &self.images {
            Ok(Samples::pictures(folder, model, &self.pictures(config), limit)?)
        } else if let (Some(file), Some(tokenizer)) = (&self.text, &self.tokenizer) {
            let most = self.max_tokens.map(NonZeroUsize::get);
            Ok(Samples::texts(file, tokenizer, model, most, limit)?)
        } else if let Some(folder) = &self.audio {
            let options = SoundOptions::default().with_rate(self.rate).with_refuse_broken(refuses_broken(config));
            Ok(Samples::sounds(folder, model, &options, limit)?)
        } else if let Some(count) = self.random {
            Ok(Samples::random(model, count.get().min(limit.unwrap_or(usize::MAX)))?)
        } else {
            Err(Failure::Usage(MISSING.to_owned()))
        }
    }

    fn pictures(&self, config: &Config) -> PictureOptions {
        let preset = self.preset.clone().unwrap_or_default();
        let over = |numbers: &[f64], preset: Vec<f64>| if numbers.is_empty() { preset } else { numbers.to_vec() };
        let (fit, color, layout) =
            (self.fit.unwrap_or(preset.fit), self.color.or(preset.color), self.layout.or(preset.layout));
        let (scale, mean) = (self.scale.or(preset.scale), over(&self.mean, preset.mean.clone()));
        let std = over(&self.std, preset.std.clone());
        preset
            .with_size(self.resize)
            .with_fit(fit)
            .with_color(color)
            .with_layout(layout)
            .with_scale(scale)
            .with_mean(mean)
            .with_std(std)
            .with_refuse_broken(refuses_broken(config))
    }

    /// What a user should know of the samples once they are read; an error where that is denied.
    pub fn findings(&self, samples: &Samples, config: &Config) -> Result<Vec<Fact>, Failure> {
        let mut facts = Vec::new();
        if self.random.is_some() {
            facts.push(Fact::RandomSamples);
        }
        let skipped = samples.skipped().iter().map(|it| format!("{}: {}", it.file, it.reason)).collect::<Vec<_>>();
        if !skipped.is_empty() {
            facts.push(Fact::SkippedSamples { skipped });
        }
        match facts.iter().find(|fact| config.denies(fact.code(), fact.severity())) {
            None => Ok(facts),
            Some(fact) => {
                let denied = ErrorKind::Denied { code: fact.code(), message: fact.to_string() };
                Err(onnx_quant::Error::from(denied).into())
            }
        }
    }

    /// Where samples are to be written, if they are.
    pub fn saving(&self) -> Result<Option<Saving>, Failure> {
        self.save_samples.as_deref().map(Saving::into).transpose()
    }
}

/// Whether a file that is passed over would be denied anyhow.
fn refuses_broken(config: &Config) -> bool {
    config.denies(Code::SkippedSamples, Severity::Warning)
}

/// Writes samples as they go by.
pub struct Saving {
    folder: PathBuf,
    next: usize,
}

impl Saving {
    fn into(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| failed(folder.display(), error))?;
        let mut entries = fs::read_dir(folder).map_err(|error| failed(folder.display(), error))?;
        if entries.next().is_some() {
            let message =
                format!("{}: is not empty: its files would pass for samples; name a new folder", folder.display());
            return Err(Failure::Failed(message.into()));
        }
        Ok(Self { folder: folder.to_owned(), next: 0 })
    }

    /// Writes one sample, `0.npz`, `1.npz` and so on.
    pub fn write(&mut self, sample: &Sample) -> onnx_quant::Result<()> {
        let path = self.folder.join(format!("{}.npz", self.next));
        self.next += 1;
        let bytes = sample.to_npz()?;
        OutputFile::at(&path)?.prepare(&bytes)?.put()
    }
}

fn preset(name: &str) -> Result<PictureOptions, onnx_quant::Error> {
    PictureOptions::preset(name)
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=1 << 16).contains(side));
    let both = match text.split_once(['x', 'X', ',']) {
        Some((width, height)) => side(width).zip(side(height)),
        None => side(text).map(|side| (side, side)),
    };
    both.ok_or_else(|| "it is to be WIDTHxHEIGHT in pixels, as 224x224".to_owned())
}

fn fraction(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((above, below)) => number(above).zip(number(below)).map(|(above, below)| above / below),
        None => number(text),
    };
    value.filter(|value| value.is_finite()).ok_or_else(|| "it is to be a number, or a fraction as 1/255".to_owned())
}
