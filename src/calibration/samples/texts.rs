//! Samples from texts: each line of a file, as Hugging Face's `tokenizers` makes numbers of it.

use std::{fmt, io::Read, path::Path, vec};

use tokenizers::{
    PaddingDirection, PaddingParams, PaddingStrategy, PostProcessor, Tokenizer, TruncationParams,
    utils::truncation::TruncationStrategy,
};

use super::{
    Sample,
    inputs::{Input, Inputs},
    places::open,
};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{DataType, is_float},
};

/// The most bytes of a file of texts, or of a tokenizer.
const MAX_FILE: u64 = 1 << 30;

/// The names of tokens that stand for nothing, where a tokenizer does not say which does.
const PADDING: [&str; 4] = ["[PAD]", "<pad>", "<|pad|>", "<|endoftext|>"];

/// The lines of a file, tokenized one at a time.
pub(super) struct Texts {
    tokenizer: Tokenizer,
    inputs: Vec<(Input, Part)>,
    file: String,
    lines: vec::IntoIter<(usize, String)>,
}

/// What of a tokenized text an input is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Ids,
    Mask,
    Types,
    Positions,
}

/// Which inputs take what; names as exporters give them, whatever stands before or behind them.
const PARTS: [(Part, &[&str]); 4] = [
    (Part::Mask, &["attention_mask", "input_mask", "mask"]),
    (Part::Types, &["token_type_ids", "segment_ids", "token_type"]),
    (Part::Positions, &["position_ids"]),
    (Part::Ids, &["input_ids", "tokens", "token_ids", "ids"]),
];

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Texts {
    /// The lines of a file that are not empty, for a model whose inputs are those of a language model.
    pub fn open(
        path: &Path,
        tokenizer: &Path,
        inputs: &Inputs,
        max_tokens: Option<usize>,
        limit: Option<usize>,
    ) -> Result<Self> {
        let inputs: Vec<(Input, Part)> =
            inputs.needed().map(|input| Ok((input.clone(), Part::of(input)?))).collect::<Result<_>>()?;
        let tokenizer = load(tokenizer).map_err(|error| error.in_file(tokenizer))?;
        let tokenizer = prepared(tokenizer, length(&inputs)?, max_tokens)?;
        let text = String::from_utf8(read(path).map_err(|error| error.in_file(path))?);
        let text = text.map_err(|_| Error::sample("is no text in UTF-8").in_file(path))?;
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let lines: Vec<(usize, String)> =
            lines.take(limit.unwrap_or(usize::MAX)).map(|(index, line)| (index + 1, line.trim().to_owned())).collect();
        if lines.is_empty() {
            return Err(Error::sample("has no lines of text").in_file(path));
        }
        Ok(Self { tokenizer, inputs, file: path.display().to_string(), lines: lines.into_iter() })
    }

    /// How many samples are still to come.
    pub fn left(&self) -> usize {
        self.lines.len()
    }

    /// The next sample.
    pub fn next(&mut self) -> Option<Result<Sample>> {
        let (number, line) = self.lines.next()?;
        let origin = format!("{}, line {number}", self.file);
        let sample = self.tokenized(&line).map(|inputs| Sample { origin, inputs });
        Some(sample.map_err(|error| error.of_sample_part(format_args!("line {number}:")).in_file(&self.file)))
    }

    fn tokenized(&self, line: &str) -> Result<Vec<crate::ir::Tensor>> {
        let encoding = self.tokenizer.encode(line, true);
        let encoding = encoding.map_err(|error| Error::sample(format!("cannot be tokenized: {error}")))?;
        let tensor = |(input, part): &(Input, Part)| {
            let numbers: Vec<u32> = match part {
                Part::Ids => encoding.get_ids().to_vec(),
                Part::Mask => encoding.get_attention_mask().to_vec(),
                Part::Types => encoding.get_type_ids().to_vec(),
                Part::Positions => (0..).take(encoding.len()).collect(),
            };
            let batch = match input.ty().rank() {
                Some(1) => None,
                _ => Some(input.ty().dims.as_ref().and_then(|dims| dims[0].size()).unwrap_or(1)),
            };
            let shape: Vec<usize> = batch.into_iter().chain([numbers.len()]).collect();
            let floats = input.ty().dtype.is_some_and(is_float);
            let dtype = if floats { DataType::Float } else { DataType::Int64 };
            let element = |number: &u32| match floats {
                true => (*number as f32).to_le_bytes().to_vec(),
                false => i64::from(*number).to_le_bytes().to_vec(),
            };
            let bytes: Vec<u8> = numbers.iter().flat_map(element).collect();
            input.check(dtype, &shape)?;
            input.tensor(dtype, &shape, bytes.repeat(batch.unwrap_or(1)))
        };
        self.inputs.iter().map(tensor).collect()
    }
}

impl Part {
    /// What an input is, by its name.
    fn of(input: &Input) -> Result<Self> {
        let name = input.name().to_lowercase();
        let found = PARTS.iter().find(|(_, names)| names.iter().any(|known| name.contains(known)));
        let ranks = input.ty().rank().is_none_or(|rank| matches!(rank, 1 | 2));
        match found {
            Some((part, _)) if ranks => Ok(*part),
            Some(_) => Err(input.in_input(Error::sample(format!(
                "is {}, but tokens have 1 axis, or 2 with a batch",
                input.ty()
            )))),
            None => Err(input.in_input(Error::sample(
                "is nothing that a tokenizer gives, which are input_ids, attention_mask, token_type_ids and position_ids; \
                 give samples as arrays",
            ))),
        }
    }
}

/// The number of tokens where the model fixes it.
fn length(inputs: &[(Input, Part)]) -> Result<Option<usize>> {
    let fixed = |(input, _): &(Input, Part)| input.ty().dims.as_ref().and_then(|dims| dims.last()?.size());
    let mut lengths: Vec<usize> = inputs.iter().filter_map(fixed).collect();
    lengths.dedup();
    match lengths[..] {
        [] => Ok(None),
        [length] if length > 0 => Ok(Some(length)),
        _ => Err(Error::sample(format!("the model's inputs take different numbers of tokens: {lengths:?}"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(ErrorKind::Read)?;
    match bytes.len() as u64 {
        0..=MAX_FILE => Ok(bytes),
        _ => Err(Error::sample(format!("has more than {MAX_FILE} bytes"))),
    }
}

fn load(path: &Path) -> Result<Tokenizer> {
    let bytes = read(path)?;
    Tokenizer::from_bytes(bytes).map_err(|error| {
        Error::sample(format!("is no tokenizer.json of Hugging Face's tokenizers, or of a newer form: {error}"))
    })
}

/// The tokenizer for texts of the model's length: filled up and cut off where that is fixed, otherwise as long as
/// they are, but cut off where it is asked for or the tokenizer itself does so.
fn prepared(mut tokenizer: Tokenizer, length: Option<usize>, max_tokens: Option<usize>) -> Result<Tokenizer> {
    if let (Some(length), Some(most)) = (length, max_tokens)
        && length != most
    {
        return Err(Error::sample(format!(
            "the model takes {length} tokens; --max-tokens says {most}: leave that out"
        )));
    }
    if let Some(most) = length.or(max_tokens) {
        let own = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if most <= own {
            let message = format!("texts cannot be cut off at {most} tokens: {own} are added to each");
            return Err(Error::sample(message));
        }
        let known = tokenizer.get_truncation().cloned();
        let truncation = TruncationParams {
            max_length: most,
            stride: 0,
            strategy: TruncationStrategy::LongestFirst,
            ..known.unwrap_or_default()
        };
        let truncated = tokenizer.with_truncation(Some(truncation));
        truncated.map_err(|error| Error::config(format!("texts cannot be cut off at {most} tokens: {error}")))?;
    }
    let padding = length.map(|length| {
        let known = tokenizer.get_padding().cloned().unwrap_or_else(|| {
            let token = PADDING.iter().find_map(|token| Some((*token, tokenizer.token_to_id(token)?)));
            let (pad_token, pad_id) = token.unwrap_or(("", 0));
            let (pad_token, direction) = (pad_token.to_owned(), PaddingDirection::Right);
            PaddingParams { pad_id, pad_token, direction, ..PaddingParams::default() }
        });
        PaddingParams { strategy: PaddingStrategy::Fixed(length), pad_to_multiple_of: None, ..known }
    });
    tokenizer.with_padding(padding);
    Ok(tokenizer)
}
