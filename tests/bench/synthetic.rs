//! Synthetic models: a MatMul for each weight, random values from a seed, written weight by weight,
//! so that memory stays small whatever the size. The same request gives the same bytes.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use prost::encoding::{WireType, encode_key, encode_varint};
use rayon::prelude::*;

/// What to generate.
#[derive(Clone, Copy)]
pub struct Request {
    pub weights: usize,
    pub shape: Shape,
    /// Whether the values go to `<file>.data`; protobuf allows one file no more than 2 GiB.
    pub external: bool,
}

/// The shapes of the weights.
#[derive(Clone, Copy)]
pub enum Shape {
    /// 1024x4096 and 4096x1024 by turns: 16.8 MB each, a chain that runs.
    Large,
    /// 32x32, 4 KB each.
    Small,
}

impl Shape {
    fn of(self, index: usize) -> [usize; 2] {
        match self {
            Self::Large if index.is_multiple_of(2) => [1024, 4096],
            Self::Large => [4096, 1024],
            Self::Small => [32, 32],
        }
    }

    fn byte_len(self) -> usize {
        self.of(0).iter().product::<usize>() * 4
    }
}

/// A generated model.
pub struct Synthetic {
    pub model: PathBuf,
    /// The file that the values lie in.
    pub values: PathBuf,
    pub weights: Vec<Weight>,
}

/// Where a weight's values are.
pub struct Weight {
    pub span: Range<usize>,
    pub columns: usize,
}

impl Synthetic {
    /// Generates a model, unless it is there from the last time.
    pub fn generate(folder: &Path, request: Request) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let kind = match (request.shape, request.external) {
            (Shape::Large, false) => "large",
            (Shape::Large, true) => "external",
            (Shape::Small, _) => "small",
        };
        let model = folder.join(format!("{kind}-{}.onnx", request.weights));
        let data = format!("{kind}-{}.onnx.data", request.weights);
        let values = if request.external { folder.join(&data) } else { model.clone() };

        let bytes = request.shape.byte_len();
        let mut heads = heads(request, &data);
        let mut weights = Vec::new();
        let mut at = 0;
        for (index, head) in heads.iter().take(request.weights).enumerate() {
            at += if request.external { 0 } else { head.len() };
            weights.push(Weight { span: at..at + bytes, columns: request.shape.of(index)[1] });
            at += bytes;
        }
        let synthetic = Self { model, values, weights };
        let there = |path: &Path, len: usize| fs::metadata(path).is_ok_and(|found| found.len() == len as u64);
        if request.external {
            let model = heads.concat();
            if !there(&synthetic.values, at) || !there(&synthetic.model, model.len()) {
                heads.iter_mut().for_each(Vec::clear);
                write(&synthetic.values, &heads, request)?;
                fs::write(&synthetic.model, model)?;
            }
        } else if !there(&synthetic.model, at + heads[request.weights].len()) {
            write(&synthetic.model, &heads, request)?;
        }
        Ok(synthetic)
    }

    pub fn remove(self) -> io::Result<()> {
        if self.values != self.model {
            fs::remove_file(self.values)?;
        }
        fs::remove_file(self.model)
    }
}

/// Values between what stands before each of them, into a file that takes its name when it is
/// complete.
fn write(path: &Path, heads: &[Vec<u8>], request: Request) -> io::Result<()> {
    eprintln!("generating {}", path.display());
    let unfinished = path.with_extension("part");
    let mut file = BufWriter::new(File::create(&unfinished)?);
    let at_once = (1 << 25) / request.shape.byte_len() + 1;
    for first in (0..request.weights).step_by(at_once) {
        let indices = first..request.weights.min(first + at_once);
        let values: Vec<_> = indices.clone().into_par_iter().map(|index| values(index, request.shape)).collect();
        for (index, values) in indices.zip(values) {
            file.write_all(&heads[index])?;
            file.write_all(&values)?;
        }
    }
    file.write_all(&heads[request.weights])?;
    // Written out now, so that it is not written while something is measured.
    file.into_inner()?.sync_all()?;
    fs::rename(unfinished, path)
}

/// About normal: sums of four uniform numbers, scaled to a variance of 1 / rows.
fn values(index: usize, shape: Shape) -> Vec<u8> {
    let [rows, columns] = shape.of(index);
    let deviation = (3.0 / rows as f32).sqrt() / 32768.0;
    let mut state = index as u64 + 1;
    (0..rows * columns)
        .flat_map(|_| {
            // SplitMix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let mixed = mixed ^ (mixed >> 31);
            let sum: i32 = (0..4).map(|part| i32::from((mixed >> (16 * part)) as u16 as i16)).sum();
            (sum as f32 * deviation / 2.0).to_le_bytes()
        })
        .collect()
}

/// The bytes of the model file before each weight's values, and after the last of them.
fn heads(request: Request, data: &str) -> Vec<Vec<u8>> {
    let Request { weights, shape, external } = request;
    let bytes = shape.byte_len();
    let mut graph = Vec::new();
    for index in 0..weights {
        let input = if index == 0 { "x".to_owned() } else { format!("hidden_{}", index - 1) };
        let output = if index + 1 == weights { "y".to_owned() } else { format!("hidden_{index}") };
        let mut node = Vec::new();
        message(&mut node, 1, input.as_bytes());
        message(&mut node, 1, format!("weight_{index}").as_bytes());
        message(&mut node, 2, output.as_bytes());
        message(&mut node, 3, format!("matmul_{index}").as_bytes());
        message(&mut node, 4, b"MatMul");
        message(&mut graph, 1, &node);
    }
    message(&mut graph, 2, b"chain");
    message(&mut graph, 11, &value_info("x", shape.of(0)[0]));
    message(&mut graph, 12, &value_info("y", shape.of(weights - 1)[1]));

    let tensors = (0..weights).map(|index| {
        let mut tensor = Vec::new();
        shape.of(index).iter().for_each(|&dim| number(&mut tensor, 1, dim));
        number(&mut tensor, 2, 1); // FLOAT
        message(&mut tensor, 8, format!("weight_{index}").as_bytes());
        let mut head = Vec::new();
        if external {
            let entries =
                [("location", data.to_owned()), ("offset", (index * bytes).to_string()), ("length", bytes.to_string())];
            for (key, value) in entries {
                let mut entry = Vec::new();
                message(&mut entry, 1, key.as_bytes());
                message(&mut entry, 2, value.as_bytes());
                message(&mut tensor, 13, &entry);
            }
            number(&mut tensor, 14, 1); // EXTERNAL
            message(&mut head, 5, &tensor);
        } else {
            start(&mut tensor, 9, bytes);
            start(&mut head, 5, tensor.len() + bytes);
            head.extend(tensor);
        }
        head
    });
    let mut heads: Vec<Vec<u8>> = tensors.collect();

    let mut model = Vec::new();
    number(&mut model, 1, 8); // IR version
    let mut opset = Vec::new();
    number(&mut opset, 2, 17);
    message(&mut model, 8, &opset);
    let inside = if external { 0 } else { weights * bytes };
    let len = graph.len() + heads.iter().map(Vec::len).sum::<usize>() + inside;
    start(&mut model, 7, len);
    model.extend(graph);
    heads[0].splice(0..0, model);
    heads.push(Vec::new());
    heads
}

/// `float[batch, width]`.
fn value_info(name: &str, width: usize) -> Vec<u8> {
    let (mut batch, mut last, mut shape, mut tensor) = (vec![], vec![], vec![], vec![]);
    message(&mut batch, 2, b"batch");
    number(&mut last, 1, width);
    message(&mut shape, 1, &batch);
    message(&mut shape, 1, &last);
    number(&mut tensor, 1, 1); // FLOAT
    message(&mut tensor, 2, &shape);
    let (mut ty, mut info) = (vec![], vec![]);
    message(&mut ty, 1, &tensor);
    message(&mut info, 1, name.as_bytes());
    message(&mut info, 2, &ty);
    info
}

fn number(out: &mut Vec<u8>, field: u32, value: usize) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value as u64, out);
}

fn start(out: &mut Vec<u8>, field: u32, len: usize) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

fn message(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    start(out, field, content.len());
    out.extend_from_slice(content);
}
